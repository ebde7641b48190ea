import { RpcError } from '../../../../src/api/client.ts';
import type { ControllerDraftParams, ControllerView } from '../../../../src/api/wire.ts';
import { CodedError } from '../../../../src/kernel/errors.ts';
import { ExitRequest } from '../../cli-error.ts';
import { CHANGE_TIMEOUT_MS } from '../../each-job.ts';
import { printValue } from '../../output.ts';
import { reportError } from '../../report-error.ts';
import { printable } from '../../screen/printable.ts';
import { nameOf, verdictOf, type ControllerAction } from './action.ts';
import { readEntries } from './read-entries.ts';

/**
 * Adds one after the other and says of each what became of it. One that is refused does not keep the others from being added; the exit
 * code is that of the first failure.
 */
export const add: ControllerAction = async (file, _options, { cli, client, format }) => {
  const done: ControllerView[] = [];
  let exitCode = 0;
  for (const [index, entry] of (await readEntries(file)).entries()) {
    try {
      const timing = { timeoutMs: CHANGE_TIMEOUT_MS };
      // What is wrong with it, the node says.
      const added = await client.call(
        'ControllerService.Register',
        entry as unknown as ControllerDraftParams,
        timing,
      );
      if (format === 'table') await cli.terminal.out.write(lineOf(added));
      else if (format === 'ndjson') await printValue(cli, format, added);
      else done.push(added);
    } catch (error) {
      const code = await reportError(
        cli,
        named(error, entry, index),
        format === 'json' || format === 'ndjson',
      );
      if (exitCode === 0) exitCode = code;
    }
  }
  if (format === 'json' || format === 'yaml') await printValue(cli, format, done);
  if (exitCode !== 0) throw new ExitRequest(exitCode);
};

function lineOf(controller: ControllerView): string {
  return `${printable(`${nameOf(controller)}  added, ${verdictOf(controller)}`)}\n`;
}

/** The same failure, with the entry that it is about. */
function named(error: unknown, { id, version }: Readonly<Record<string, unknown>>, index: number): unknown {
  if (!(error instanceof CodedError)) return error;
  const name =
    typeof id === 'string' && id !== ''
      ? nameOf({ id, ...(typeof version === 'string' && { version }) })
      : `entry ${index + 1}`;
  const { code, message, details, retryable, retryAfterMs } = error;
  const facts = { details, retryable, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  return new RpcError(code, `${name}: ${message}`, { cause: error, ...facts });
}
