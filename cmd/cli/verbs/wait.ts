import { Option } from 'commander';
import type { Cli, DefineVerb } from '../cli.ts';
import { ExitRequest } from '../cli-error.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { exitCodeOfJob } from '../exit-codes.ts';
import { JOB_ARGUMENT, resolveJobId } from '../job-ids.ts';
import { durationMs } from '../option-values.ts';
import { printValue } from '../output.ts';
import { printable } from '../screen/printable.ts';
import { waitForJob } from '../wait-for-job.ts';

interface WaitOptions extends ClientOptions {
  readonly until: 'running' | 'ended';
  readonly timeout?: number;
}

export const defineWait: DefineVerb = (command, cli) => {
  const until = new Option('--until <state>', 'what to wait for')
    .choices(['running', 'ended'])
    .default('ended');
  command
    .description('Wait for a job to end, print its status, and end with its exit code.')
    .argument('<job>', JOB_ARGUMENT)
    .addOption(until)
    .option('-t, --timeout <duration>', 'wait no longer; without it, as long as it takes', durationMs);
  addClientOptions(command);
  command.action((job: string) => wait(job, command.opts<WaitOptions>(), cli));
};

async function wait(text: string, options: WaitOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const client = clientOf(options, cli);
  const job = await waitForJob(client, await resolveJobId(client, text), options);
  if (format === 'table') await cli.terminal.out.write(`${printable(job.status)}\n`);
  else await printValue(cli, format, job);
  const isUp = options.until === 'running' && (job.status === 'running' || job.status === 'stopping');
  if (!isUp) throw new ExitRequest(exitCodeOfJob(job));
}
