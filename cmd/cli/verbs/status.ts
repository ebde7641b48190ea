import { RpcError, type RpcClient } from '../../../src/api/client.ts';
import type { JobDetailView, JobEventView, JobView } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { historyColumns } from '../event-columns.ts';
import { portsText, pullDetails, STATUS_STYLES, unheard } from '../job-columns.ts';
import { JOB_ARGUMENT, resolveJobId } from '../job-ids.ts';
import { printValue } from '../output.ts';
import { ago, ahead, elapsed, localTime } from '../screen/format.ts';
import { printable } from '../screen/printable.ts';
import { renderFields, renderTable } from '../screen/table.ts';

export const defineStatus: DefineVerb = (command, cli) => {
  command.description('Show how a job stands and how it got there.').argument('<job>', JOB_ARGUMENT);
  addClientOptions(command);
  command.action((job: string) => status(job, command.opts<ClientOptions>(), cli));
};

async function status(text: string, options: ClientOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const client = clientOf(options, cli);
  const job_id = await resolveJobId(client, text);
  const [job, history] = await Promise.all([
    client.call('JobService.Get', { job_id }),
    historyOf(client, job_id),
  ]);
  const { events, problem } = history;
  if (format === 'table') await printStatus(cli, job, events);
  else
    await printValue(cli, format, { ...withoutSpec(job), ...(events !== undefined && { history: events }) });
  if (problem !== undefined)
    await cli.terminal.err.write(`${printable(`its history is not known here: ${problem}`)}\n`);
}

/** Only its owner has the history of a job; how it stands, every node can tell. */
async function historyOf(
  client: RpcClient,
  job_id: string,
): Promise<{ readonly events?: readonly JobEventView[]; readonly problem?: string }> {
  try {
    return await client.call('JobService.History', { job_id });
  } catch (error) {
    if (error instanceof RpcError && error.code === 'peer_unreachable') return { problem: error.message };
    throw error;
  }
}

function withoutSpec({ spec: _spec, ...job }: JobDetailView): JobView {
  return job;
}

async function printStatus(
  cli: Cli,
  job: JobView,
  events: readonly JobEventView[] | undefined,
): Promise<void> {
  const { out } = cli.terminal;
  const look = { screenWidth: out.width, paint: out.paint };
  const fields = renderFields(statusFields(job, cli.nowMs()), look);
  const history = events === undefined ? '' : `\n${renderTable(historyColumns(events), events, look)}`;
  await out.write(`${fields}${history}`);
}

type Field = Parameters<typeof renderFields>[0][number];

function statusFields(job: JobView, nowMs: number): readonly Field[] {
  const at = (time: string | undefined): string | undefined =>
    time === undefined ? undefined : `${localTime(time)} (${ago(time, nowMs)})`;
  return [
    ['Job', job.job_id],
    ['Name', job.name],
    ['Status', statusText(job, nowMs), STATUS_STYLES[job.status]],
    ['Lost', job.lost === true ? unheard(job) : undefined, 'red'],
    ['Reason', job.reason === undefined ? undefined : reasonText(job)],
    ['Exit code', exitText(job)],
    ['Image', job.image],
    ['Container', job.container_id === undefined ? undefined : job.container_name],
    ['Address', job.address],
    ['Ports', portsText(job)],
    ['Labels', labelsText(job)],
    ['Attempt', job.attempt > 1 ? String(job.attempt) : undefined],
    ['Restarts', job.restarts > 0 ? String(job.restarts) : undefined],
    ['Created', at(job.created_at)],
    ['Running', at(job.running_at)],
    ['Finished', at(job.finished_at)],
    ['Node', job.owner],
    ['Copy of', job.parent],
    ['Copies', job.children?.map(({ node_id, status }) => `${node_id} ${status}`).join(', ')],
  ];
}

function statusText(job: JobView, nowMs: number): string {
  const { status: state, not_before: notBefore, pull, running_at: runningAt, finished_at: finishedAt } = job;
  const unknown = job.observation === 'unknown' ? ', but the engine does not answer' : '';
  if (notBefore !== undefined) return `${state}, next try ${ahead(notBefore, nowMs)}${unknown}`;
  if (state === 'pulling' && pull !== undefined) return `${state} ${pullDetails(pull)}${unknown}`;
  if (runningAt !== undefined && finishedAt !== undefined) {
    return `${state} after ${elapsed(Date.parse(finishedAt) - Date.parse(runningAt))}${unknown}`;
  }
  return `${state}${unknown}`;
}

function reasonText({ reason = '', message }: JobView): string {
  return message === undefined || message === reason ? reason : `${reason}: ${message}`;
}

function exitText({ exit_code: exitCode, signal, oom_killed: isOomKilled }: JobView): string | undefined {
  if (exitCode === undefined) return undefined;
  const why = [signal, isOomKilled === true ? 'out of memory' : undefined].filter(
    (part) => part !== undefined,
  );
  return why.length === 0 ? String(exitCode) : `${exitCode} (${why.join(', ')})`;
}

function labelsText({ labels = {} }: JobView): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
