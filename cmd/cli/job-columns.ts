import type { JobStatus, JobView, PullView } from '../../src/api/wire.ts';
import { ago, ahead, bytes, elapsed, percent } from './screen/format.ts';
import type { Style } from './screen/style.ts';
import type { Column } from './screen/table.ts';

export const STATUS_STYLES: Readonly<Record<JobStatus | 'removed', Style | undefined>> = {
  pending: 'yellow',
  pulling: 'yellow',
  starting: 'yellow',
  running: 'green',
  stopping: 'yellow',
  complete: 'dim',
  failed: 'red',
  cancelled: 'dim',
  removed: 'dim',
};

/** What a list of jobs shows of each; with `nodes`, on which it runs, too. */
export function jobColumns(
  ids: ReadonlyMap<string, string>,
  nowMs: number,
  nodes?: ReadonlyMap<string, string>,
): readonly Column<JobView>[] {
  return [
    { header: 'JOB', value: (job) => ids.get(job.job_id) ?? job.job_id },
    { header: 'STATUS', value: (job) => job.status, style: (job) => STATUS_STYLES[job.status] },
    ...(nodes === undefined
      ? []
      : [{ header: 'NODE', value: ({ owner }: JobView) => nodes.get(owner) ?? owner }]),
    { header: 'NAME', value: (job) => job.name ?? '', minWidth: 8, isOptional: true },
    { header: 'IMAGE', value: (job) => job.image, minWidth: 12, cutAt: 'start' },
    { header: 'CREATED', value: (job) => ago(job.created_at, nowMs) },
    {
      header: 'DETAILS',
      value: (job) => jobDetails(job, nowMs),
      minWidth: 26,
      isOptional: true,
      style: ({ lost: isLost }) => (isLost === true ? 'red' : undefined),
    },
  ];
}

/** The one thing about a job that is worth knowing at its status. */
export function jobDetails(job: JobView, nowMs: number): string {
  if (job.lost === true) return `lost: ${unheard(job)}`;
  if (job.observation === 'unknown') return 'the engine does not answer';
  switch (job.status) {
    case 'pending':
      return pendingDetails(job, nowMs);
    case 'pulling':
      return job.pull === undefined ? '' : pullDetails(job.pull);
    case 'starting':
      return '';
    case 'running':
      return runningDetails(job, nowMs);
    case 'stopping':
      return '';
    case 'complete':
      return job.reason === 'exited' || job.reason === undefined ? '' : job.reason;
    case 'failed':
      return failureDetails(job);
    case 'cancelled':
      return '';
  }
}

export function unheard({ age_ms: ageMs }: JobView): string {
  return `its node was not heard for ${elapsed(ageMs)}`;
}

function pendingDetails(job: JobView, nowMs: number): string {
  if (job.not_before === undefined) return '';
  return `attempt ${job.attempt} ${ahead(job.not_before, nowMs)}: ${job.message ?? job.reason ?? ''}`;
}

/** Where it can be reached from here; inside the host only where nothing is published. */
function runningDetails(job: JobView, nowMs: number): string {
  if (job.not_before !== undefined) return `restart ${ahead(job.not_before, nowMs)}: ${job.message ?? ''}`;
  const ports = portsText(job);
  return [ports === '' ? job.address : ports, restartsText(job)].filter((part) => part).join('  ');
}

export function pullDetails(pull: PullView): string {
  const { downloaded_bytes: done, total_bytes: total } = pull;
  const layers = `${pull.layers_done}/${pull.layers_total} layers`;
  return total > 0 ? `${percent(done, total)} of ${bytes(total)}  ${layers}` : layers;
}

function failureDetails(job: JobView): string {
  const { exit_code: exitCode, signal, reason = '', message = '' } = job;
  if (job.oom_killed === true) return 'out of memory';
  if (exitCode === undefined || reason !== 'exited') return message === '' ? reason : message;
  return `exit ${exitCode}${signal === undefined ? '' : ` (${signal})`}`;
}

/** `127.0.0.1:32768->80/tcp`, several with commas. */
export function portsText(job: JobView): string {
  return (job.ports ?? [])
    .map(({ address, host, container, protocol }) => {
      const shownAddress = address.includes(':') ? `[${address}]` : address;
      return `${shownAddress}:${host}->${container}/${protocol}`;
    })
    .join(', ');
}

function restartsText({ restarts }: JobView): string {
  return restarts === 0 ? '' : `restarted ${restarts}x`;
}
