import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { JOB_ARGUMENT, resolveJobId } from '../job-ids.ts';
import { printValue } from '../output.ts';

export const defineInspect: DefineVerb = (command, cli) => {
  command
    .description('Show all there is to know of a job, as JSON or YAML. Values of its environment are hidden.')
    .argument('<job>', JOB_ARGUMENT);
  addClientOptions(command);
  command.action((job: string) => inspect(job, command.opts<ClientOptions>(), cli));
};

async function inspect(text: string, options: ClientOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli, 'json');
  const client = clientOf(options, cli);
  const job = await client.call('JobService.Get', { job_id: await resolveJobId(client, text) });
  // There is no table of it: YAML is what people read best.
  await printValue(cli, format === 'table' ? 'yaml' : format, job);
}
