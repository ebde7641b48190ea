import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { CHANGE_TIMEOUT_MS, forEachJob } from '../each-job.ts';
import { JOB_ARGUMENT } from '../job-ids.ts';

interface RmOptions extends ClientOptions {
  readonly force?: true;
}

export const defineRm: DefineVerb = (command, cli) => {
  command
    .description('Remove ended jobs, with their containers and their logs.')
    .argument('<job...>', JOB_ARGUMENT)
    .option('-f, --force', 'stop or cancel those that have not ended');
  addClientOptions(command);
  command.action((jobs: readonly string[]) => rm(jobs, command.opts<RmOptions>(), cli));
};

async function rm(jobs: readonly string[], options: RmOptions, cli: Cli): Promise<void> {
  const client = clientOf(options, cli);
  await forEachJob({ cli, client, format: outputFormat(options, cli) }, jobs, (job_id) => {
    const params = { job_id, ...(options.force === true && { force: true }) };
    return client.call('ContainerService.Remove', params, { timeoutMs: CHANGE_TIMEOUT_MS });
  });
}
