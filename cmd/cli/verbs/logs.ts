import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { JOB_ARGUMENT, resolveJobId } from '../job-ids.ts';
import { LogPrinter } from '../log-printer.ts';
import { wholeNumber } from '../option-values.ts';
import { printValue } from '../output.ts';

interface LogsOptions extends ClientOptions {
  readonly follow?: true;
  readonly since?: string;
  readonly tail?: number;
  readonly timestamps?: true;
}

const MAX_TAIL = 1_000_000;

export const defineLogs: DefineVerb = (command, cli) => {
  command
    .description("Print what a job's container wrote: its stdout on stdout, its stderr on stderr.")
    .argument('<job>', JOB_ARGUMENT)
    .option('-f, --follow', 'go on until the container ends')
    .option('--since <time>', 'only from then on: 2026-11-21T07:30:00Z, or a duration before now such as 5m')
    .option('-n, --tail <lines>', 'only so many lines from the end', wholeNumber(0, MAX_TAIL))
    .option('-t, --timestamps', 'begin each line with its time');
  addClientOptions(command);
  command.action((job: string) => logs(job, command.opts<LogsOptions>(), cli));
};

async function logs(text: string, options: LogsOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const client = clientOf(options, cli);
  const { follow, since, tail, timestamps } = options;
  const entries = client.streamLogs(await resolveJobId(client, text), {
    ...(follow === true && { follow }),
    ...(since !== undefined && { since }),
    ...(tail !== undefined && { tail }),
    ...(timestamps === true && { timestamps }),
  });
  const printer = new LogPrinter(cli.terminal);
  // A log has no end to wait for, so every format for programs is one object a line.
  for await (const entry of entries) {
    await (format === 'table' ? printer.print(entry) : printValue(cli, 'ndjson', entry));
  }
}
