import { Option } from 'commander';
import type { JobStatus } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { jobColumns } from '../job-columns.ts';
import { shortIds } from '../job-ids.ts';
import { shortNodeIds } from '../node-ids.ts';
import { JOB_STATUSES, NOT_ENDED } from '../job-statuses.ts';
import { wholeNumber } from '../option-values.ts';
import { printRows } from '../output.ts';

interface PsOptions extends ClientOptions {
  readonly all?: true;
  readonly allNodes?: boolean;
  readonly status?: readonly JobStatus[];
  readonly name?: string;
  readonly limit: number;
}

/** A screen or two; more is asked for. */
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

export const definePs: DefineVerb = (command, cli) => {
  const status = new Option('-s, --status <status...>', 'only jobs of this status; several can be given');
  command
    .description(
      'List jobs that have not ended yet, the newest first: those of the node that is asked, or of all.',
    )
    .option('-a, --all', 'ended jobs, too')
    .option('--all-nodes', 'jobs of other nodes, too, with the node of each')
    .addOption(status.choices(JOB_STATUSES))
    .option('-n, --name <name>', 'only jobs of this name')
    .option('--limit <count>', 'at most so many', wholeNumber(1, MAX_LIMIT), DEFAULT_LIMIT);
  addClientOptions(command);
  command.action(() => ps(command.opts<PsOptions>(), cli));
};

async function ps(options: PsOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const states = options.status ?? (options.all === true ? undefined : NOT_ENDED);
  const { jobs, next_cursor: nextCursor } = await clientOf(options, cli).call('JobService.List', {
    limit: options.limit,
    ...(options.allNodes === true && { all_nodes: true }),
    ...(states !== undefined && { states: [...states] }),
    ...(options.name !== undefined && { name: options.name }),
  });
  const { out, err } = cli.terminal;
  if (format === 'table' && jobs.length === 0) {
    // Whoever counts lines of the output must not count this one.
    return err.write(
      states === undefined ? 'There are no jobs.\n' : 'There are no such jobs; --all shows every one.\n',
    );
  }
  const ids = shortIds(jobs.map(({ job_id }) => job_id));
  const nodes = options.allNodes === true ? shortNodeIds(jobs.map(({ owner }) => owner)) : undefined;
  await printRows(cli, format, jobs, jobColumns(ids, cli.nowMs(), nodes));
  if (format === 'table' && out.isTty && nextCursor !== undefined) {
    await err.write(`These are the newest ${jobs.length}; --limit shows more.\n`);
  }
}
