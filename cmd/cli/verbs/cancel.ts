import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { CHANGE_TIMEOUT_MS, forEachJob } from '../each-job.ts';
import { JOB_ARGUMENT } from '../job-ids.ts';

export const defineCancel: DefineVerb = (command, cli) => {
  command
    .description('Cancel jobs that do not run yet. A job that runs is stopped instead: see stop.')
    .argument('<job...>', JOB_ARGUMENT);
  addClientOptions(command);
  command.action((jobs: readonly string[]) => cancel(jobs, command.opts<ClientOptions>(), cli));
};

async function cancel(jobs: readonly string[], options: ClientOptions, cli: Cli): Promise<void> {
  const client = clientOf(options, cli);
  await forEachJob({ cli, client, format: outputFormat(options, cli) }, jobs, (job_id) =>
    client.call('JobService.Cancel', { job_id }, { timeoutMs: CHANGE_TIMEOUT_MS }),
  );
}
