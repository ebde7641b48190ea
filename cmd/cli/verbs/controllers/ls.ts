import type { ControllerView } from '../../../../src/api/wire.ts';
import { printRows } from '../../output.ts';
import { printable } from '../../screen/printable.ts';
import type { Column } from '../../screen/table.ts';
import type { ControllerAction } from './action.ts';

export const list: ControllerAction = async (_operand, _options, { cli, client, format }) => {
  const { controllers, problem, warnings = [] } = await client.call('ControllerService.List', {});
  const { err } = cli.terminal;
  const told = problem === undefined ? warnings : [problem.message, ...warnings];
  for (const text of told) await err.write(`${err.paint('yellow', `warning: ${printable(text)}`)}\n`);
  // Whoever counts lines of the output must not count this one.
  if (format === 'table' && controllers.length === 0) return err.write('There are no controllers.\n');
  await printRows(cli, format, controllers, COLUMNS);
};

const COLUMNS: readonly Column<ControllerView>[] = [
  { header: 'ID', value: ({ id }) => id },
  { header: 'VERSION', value: ({ version }) => version },
  { header: 'NAME', value: ({ name }) => name, minWidth: 8, isOptional: true },
  { header: 'IMAGE', value: ({ image }) => image, minWidth: 12, cutAt: 'start' },
  { header: 'SHARING', value: ({ sharing }) => sharing },
  { header: 'SOURCE', value: ({ source }) => source },
  {
    header: 'STATUS',
    value: ({ is_valid: isValid }) => (isValid ? 'valid' : 'invalid'),
    style: ({ is_valid: isValid }) => (isValid ? 'green' : 'red'),
  },
  {
    header: 'REASON',
    value: ({ is_valid: isValid, validate_info: info = '' }) => (isValid ? '' : info),
    minWidth: 26,
    isOptional: true,
  },
];
