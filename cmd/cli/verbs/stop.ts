import type { JobView } from '../../../src/api/wire.ts';
import { RpcError, type RpcClient } from '../../../src/api/client.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { CHANGE_TIMEOUT_MS, forEachJob } from '../each-job.ts';
import { JOB_ARGUMENT } from '../job-ids.ts';
import { hasEnded } from '../job-statuses.ts';
import { durationMs } from '../option-values.ts';
import { elapsed } from '../screen/format.ts';

interface StopOptions extends ClientOptions {
  readonly timeout?: number;
  readonly wait: boolean;
}

/** How much longer than the container's own grace period is waited for. */
const EXTRA_WAIT_MS = 30_000;
/** Longest wait that one call may ask for. */
const MAX_WAIT_MS = 600_000;

export const defineStop: DefineVerb = (command, cli) => {
  command
    .description(
      'Stop running jobs and wait for their end. A job that does not run yet is cancelled instead: see cancel.',
    )
    .argument('<job...>', JOB_ARGUMENT)
    .option(
      '-t, --timeout <duration>',
      'kill a container that has not stopped by itself in this time',
      durationMs,
    )
    .option('--no-wait', 'do not wait for their end');
  addClientOptions(command);
  command.action((jobs: readonly string[]) => stop(jobs, command.opts<StopOptions>(), cli));
};

async function stop(jobs: readonly string[], options: StopOptions, cli: Cli): Promise<void> {
  const client = clientOf(options, cli);
  await forEachJob({ cli, client, format: outputFormat(options, cli) }, jobs, (job_id) =>
    stopOne(client, job_id, options),
  );
}

async function stopOne(client: RpcClient, job_id: string, { timeout, wait }: StopOptions): Promise<JobView> {
  const waitMs = wait ? Math.min(MAX_WAIT_MS, (timeout ?? EXTRA_WAIT_MS) + EXTRA_WAIT_MS) : 0;
  const params = { job_id, wait_ms: waitMs, ...(timeout !== undefined && { timeout }) };
  const job = await client.call('ContainerService.Stop', params, { timeoutMs: waitMs + CHANGE_TIMEOUT_MS });
  if (!wait || hasEnded(job.status)) return job;
  throw new RpcError('timeout', `job ${job_id} is still ${job.status} after ${elapsed(waitMs)}`, {
    details: { job_id, status: job.status, next_step: `container-manager wait ${job_id}` },
  });
}
