import type { LiveTestView } from '../../../../src/api/wire.ts';
import { ExitRequest } from '../../cli-error.ts';
import { EXIT_CODES } from '../../exit-codes.ts';
import { printValue } from '../../output.ts';
import { elapsed } from '../../screen/format.ts';
import { printable } from '../../screen/printable.ts';
import { keyOf, nameOf, type ControllerAction } from './action.ts';

/** Longer than a container may take to start and to answer, unless an entry says otherwise, ms. */
const TEST_TIMEOUT_MS = 180_000;

/** Ends with 1 when the controller did not pass, so that a script can tell. */
export const test: ControllerAction = async (id, options, { cli, client, format }) => {
  const timing = { timeoutMs: TEST_TIMEOUT_MS };
  const report = await client.call('ControllerService.Test', keyOf(id, options), timing);
  if (format !== 'table') await printValue(cli, format, report);
  else await cli.terminal.out.write(`${printable(textOf(report))}\n`);
  if (!report.passed) throw new ExitRequest(EXIT_CODES.failed);
};

function textOf(report: LiveTestView): string {
  const { start_ms: startMs, answer_ms: answerMs } = report;
  const text = `${nameOf(report)}: ${report.info}`;
  if (startMs === undefined || answerMs === undefined) return text;
  return `${text} (started in ${elapsed(startMs)}, answered in ${elapsed(answerMs)})`;
}
