import type { RpcClient } from '../../src/api/client.ts';
import type { Cli } from './cli.ts';
import { ExitRequest } from './cli-error.ts';
import type { OutputFormat } from './client-options.ts';
import { resolveJobId } from './job-ids.ts';
import { printValue } from './output.ts';
import { printable } from './screen/printable.ts';
import { reportError } from './report-error.ts';

/** For a call that ends or removes a container: the engine may take its time over it. */
export const CHANGE_TIMEOUT_MS = 120_000;

/**
 * Does one thing to several jobs, one after the other, and says of each what became of it. One that fails does not keep
 * the others from being dealt with; the exit code is that of the first failure.
 */
export async function forEachJob(
  surroundings: { readonly cli: Cli; readonly client: RpcClient; readonly format: OutputFormat },
  jobs: readonly string[],
  action: (jobId: string) => Promise<{ readonly job_id: string; readonly status?: string }>,
): Promise<void> {
  const { cli, client, format } = surroundings;
  const done: unknown[] = [];
  let exitCode = 0;
  for (const text of jobs) {
    try {
      const result = await action(await resolveJobId(client, text));
      if (format === 'table') await cli.terminal.out.write(lineOf(result));
      else if (format === 'ndjson') await printValue(cli, format, result);
      else done.push(result);
    } catch (error) {
      const code = await reportError(cli, error, format === 'json' || format === 'ndjson');
      if (exitCode === 0) exitCode = code;
    }
  }
  if (format === 'json' || format === 'yaml') await printValue(cli, format, done);
  if (exitCode !== 0) throw new ExitRequest(exitCode);
}

function lineOf({
  job_id,
  status = 'removed',
}: {
  readonly job_id: string;
  readonly status?: string;
}): string {
  return `${printable(`${job_id}  ${status}`)}\n`;
}
