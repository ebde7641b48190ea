import { RpcError, type RpcClient } from '../../../src/api/client.ts';
import type { JobEventView } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import {
  addClientOptions,
  clientOf,
  outputFormat,
  type ClientOptions,
  type OutputFormat,
} from '../client-options.ts';
import { eventDetails, eventListColumns } from '../event-columns.ts';
import { isAfter } from '../follow/job-events.ts';
import { STATUS_STYLES } from '../job-columns.ts';
import { JOB_ARGUMENT, resolveJobId, shortIds } from '../job-ids.ts';
import { endOfNodeId } from '../node-ids.ts';
import { wholeNumber } from '../option-values.ts';
import { printRows, printValue } from '../output.ts';
import { timeOfDay } from '../screen/format.ts';
import { printable } from '../screen/printable.ts';
import { truncate } from '../screen/text-width.ts';

interface EventsOptions extends ClientOptions {
  readonly follow?: true;
  readonly allNodes?: boolean;
  readonly sinceId?: string;
  readonly limit: number;
}

/** Jobs whose history is read at once. */
const DEFAULT_JOBS = 20;
const MAX_JOBS = 100;

export const defineEvents: DefineVerb = (command, cli) => {
  command
    .description(
      'Print what happened to the newest jobs, or to one; with --follow, what happens to jobs from now on. Each event has an id, and following can go on where it stopped.',
    )
    .argument('[job]', JOB_ARGUMENT)
    .option('-f, --follow', 'print events as they happen, until Ctrl-C')
    .option('--all-nodes', 'what happened to jobs of other nodes, too')
    .option('--since-id <id>', 'only what came after this event, such as 1-42')
    .option(
      '--limit <count>',
      'without --follow: look at so many of the newest jobs',
      wholeNumber(1, MAX_JOBS),
      DEFAULT_JOBS,
    );
  addClientOptions(command);
  command.action((job: string | undefined) => events(job, command.opts<EventsOptions>(), cli));
};

async function events(text: string | undefined, options: EventsOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  if (options.sinceId !== undefined && !/^\d{1,15}-\d{1,15}$/.test(options.sinceId)) {
    throw new UsageError(`--since-id ${JSON.stringify(options.sinceId)} is not the id of an event`);
  }
  if (options.allNodes === true && options.sinceId !== undefined && options.follow !== true) {
    throw new UsageError('--since-id is a place in the log of one node, and --all-nodes looks at several');
  }
  const client = clientOf(options, cli);
  const jobId = text === undefined ? undefined : await resolveJobId(client, text);
  if (options.follow === true) return followEvents(client, jobId, options, { cli, format });
  const found = await history(client, jobId, options, noteTo(cli));
  const ids = shortIds(found.map(({ job_id }) => job_id));
  await printRows(cli, format, found, eventListColumns(ids, found));
}

/** The oldest first. Removed jobs have no history any more. */
async function history(
  client: RpcClient,
  jobId: string | undefined,
  { limit, sinceId, allNodes = false }: EventsOptions,
  note: (text: string) => void,
): Promise<readonly JobEventView[]> {
  if (jobId !== undefined) {
    const { events: found } = await client.call('JobService.History', { job_id: jobId });
    return found.filter(({ id }) => sinceId === undefined || isAfter(id, sinceId));
  }
  const { jobs } = await client.call('JobService.List', { limit, ...(allNodes && { all_nodes: true }) });
  const found: JobEventView[] = [];
  for (const { job_id } of jobs) {
    try {
      found.push(...(await client.call('JobService.History', { job_id })).events);
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== 'peer_unreachable') throw error;
      note(error.message);
    }
  }
  return found
    .filter(({ id }) => sinceId === undefined || isAfter(id, sinceId))
    .sort(allNodes ? byTime : (a, b) => (isAfter(a.id, b.id) ? 1 : -1));
}

/** Logs of several nodes have no order among each other but that of their clocks. */
function byTime(one: JobEventView, other: JobEventView): number {
  return Date.parse(one.at) - Date.parse(other.at);
}

function noteTo(cli: Cli): (text: string) => void {
  return (text) => void cli.terminal.err.write(`${printable(text)}\n`);
}

async function followEvents(
  client: RpcClient,
  jobId: string | undefined,
  { sinceId, allNodes = false }: EventsOptions,
  { cli, format }: { readonly cli: Cli; readonly format: OutputFormat },
): Promise<void> {
  const note = noteTo(cli);
  // Whichever node the one job is on.
  const hasOthers = allNodes || jobId !== undefined;
  const stream = client.streamEvents({
    follow: true,
    allNodes: hasOthers,
    ...(sinceId !== undefined && { lastEventId: sinceId }),
    onBroken: (error) =>
      note(`${error.message}; trying again${hasOthers ? ' (events of other nodes may be missing)' : ''}`),
  });
  let isFirst = true;
  for await (const message of stream) {
    if (message.kind === 'reset') {
      // Beginning now is what was asked for; anything else is a gap that whoever reads on should know of.
      if (!isFirst || sinceId !== undefined) note(`events are missing here: ${message.message}`);
    } else if (jobId === undefined || message.event.job_id === jobId) {
      await (format === 'table' ? printLine(cli, message.event) : printValue(cli, 'ndjson', message.event));
    }
    isFirst = false;
  }
}

/** Widths are fixed: nobody knows what is still to come. */
async function printLine(cli: Cli, event: JobEventView): Promise<void> {
  const { out } = cli.terminal;
  const shown = `${timeOfDay(event.at)}  ${event.job_id}  `;
  const place = event.owner === undefined ? event.id : `${event.id} on ${endOfNodeId(event.owner)}`;
  const details = printable([place, eventDetails(event)].join('  '));
  const type = event.type.padEnd(9);
  const room = out.width === undefined ? undefined : out.width - shown.length - type.length - 2;
  const cut = room === undefined ? details : truncate(details, room);
  await out.write(`${printable(shown)}${out.paint(STATUS_STYLES[event.type], printable(type))}  ${cut}\n`);
}
