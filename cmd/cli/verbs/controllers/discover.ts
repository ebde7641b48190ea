import { printValue } from '../../output.ts';
import { printable } from '../../screen/printable.ts';
import { renderFields } from '../../screen/table.ts';
import type { ControllerAction } from './action.ts';

/** Every image that is new is looked into, one after the other, ms. */
const DISCOVERY_TIMEOUT_MS = 600_000;

export const discover: ControllerAction = async (_operand, _options, { cli, client, format }) => {
  const timing = { timeoutMs: DISCOVERY_TIMEOUT_MS };
  const report = await client.call('ControllerService.Discover', {}, timing);
  if (format !== 'table') return printValue(cli, format, report);
  const { out, err } = cli.terminal;
  const { added, updated, removed, unchanged, skipped } = report;
  await out.write(
    renderFields(
      [
        ['Added', listed(added), 'green'],
        ['Updated', listed(updated)],
        ['Removed', listed(removed)],
        ['Unchanged', listed(unchanged)],
      ],
      { screenWidth: out.width, paint: out.paint },
    ),
  );
  for (const { image, reason } of skipped)
    await err.write(`${err.paint('yellow', `skipped: ${printable(`${image}: ${reason}`)}`)}\n`);
};

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
