import { hiddenEnv } from '../jobs/hidden.ts';
import { instanceName } from '../jobs/instance-name.ts';
import type { Job, JobEvent } from '../jobs/job.ts';
import type { JobSnapshot, ObservedEvent, QueueStats } from '../jobs/jobs.ts';
import { childJobId } from '../kernel/ids.ts';
import type { InstanceStats, PullProgress } from '../runtime/driver.ts';
import type { JobDetailView, JobEventView, JobView, PullView, QueueStatsView, StatsView } from './wire.ts';

function rfc3339(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** A job as everybody who may read may see it. What does not apply is left out. */
export function jobView(snapshot: JobSnapshot): JobView {
  const { job, isUnknown, pull, remote } = snapshot;
  const { id, owner, spec, state, attempt, restarts } = job;
  return {
    job_id: id,
    status: state,
    owner,
    age_ms: remote === undefined ? 0 : Math.round(remote.ageMs),
    ...(remote?.isLost === true && { lost: true as const }),
    ...(spec.name !== undefined && { name: spec.name }),
    image: spec.image,
    attempt,
    restarts,
    priority: spec.priority,
    ...(isUnknown && { observation: 'unknown' as const }),
    ...outcomeOf(job),
    ...instanceOf(job),
    ...(Object.keys(spec.labels).length > 0 && { labels: spec.labels }),
    ...(pull !== undefined && state === 'pulling' && { pull: pullView(pull) }),
    ...timesOf(job),
    ...copiesOf(job),
    ...(job.isAbridged === true && { abridged: true as const }),
  };
}

function outcomeOf({ outcome }: Job): Partial<JobView> {
  if (outcome === undefined) return {};
  return {
    reason: outcome.reason,
    message: outcome.message,
    ...(outcome.exitCode !== undefined && { exit_code: outcome.exitCode }),
    ...(outcome.signal !== undefined && { signal: outcome.signal }),
    ...(outcome.oomKilled !== undefined && { oom_killed: outcome.oomKilled }),
    ...(outcome.duplicateOf !== undefined && { duplicate_of: outcome.duplicateOf }),
    retryable: outcome.retryable,
  };
}

function instanceOf({ id, instance }: Job): Pick<JobView, 'container_name'> & Partial<JobView> {
  const container_name = instanceName(id);
  if (instance === undefined) return { container_name };
  const ports = instance.ports?.map((port) => ({
    container: port.containerPort,
    protocol: port.protocol,
    host: port.hostPort,
    address: port.hostAddress,
  }));
  return {
    container_id: instance.id,
    container_name,
    ...(instance.address !== undefined && { address: instance.address }),
    ...(ports !== undefined && ports.length > 0 && { ports }),
  };
}

function timesOf(job: Job): Pick<JobView, 'created_at' | 'updated_at'> & Partial<JobView> {
  return {
    created_at: rfc3339(job.createdAtMs),
    updated_at: rfc3339(job.updatedAtMs),
    ...(job.runningAtMs !== undefined && { running_at: rfc3339(job.runningAtMs) }),
    ...(job.finishedAtMs !== undefined && { finished_at: rfc3339(job.finishedAtMs) }),
    ...(job.notBeforeMs !== undefined && { not_before: rfc3339(job.notBeforeMs) }),
  };
}

function copiesOf({ id, parent, children }: Job): Partial<JobView> {
  return {
    ...(parent !== undefined && { parent }),
    ...(children !== undefined && {
      children: children.map(({ node, state }) => ({
        job_id: childJobId(id, node),
        node_id: node,
        status: state,
      })),
    }),
  };
}

function pullView(pull: PullProgress): PullView {
  return {
    layers_done: pull.layersDone,
    layers_total: pull.layersTotal,
    downloaded_bytes: pull.downloadedBytes,
    total_bytes: pull.totalBytes,
  };
}

/** With the spec as it was understood. Values of `env` are nobody's business, names are. */
export function jobDetailView(snapshot: JobSnapshot): JobDetailView {
  const { spec } = snapshot.job;
  return { ...jobView(snapshot), spec: { ...spec, env: hiddenEnv(spec.env) } };
}

/** What `Last-Event-ID` takes. */
export function eventId(event: Pick<JobEvent, 'epoch' | 'seq'>): string {
  return `${event.epoch}-${event.seq}`;
}

export function jobEventView(event: ObservedEvent): JobEventView {
  return {
    id: eventId(event),
    job_id: event.jobId,
    ...(event.owner !== undefined && { owner: event.owner }),
    type: event.type,
    attempt: event.attempt,
    at: rfc3339(event.atMs),
    ...(event.reason !== undefined && { reason: event.reason }),
    ...(event.message !== undefined && { message: event.message }),
    ...(event.exitCode !== undefined && { exit_code: event.exitCode }),
  };
}

export function statsView(job: Job, stats: InstanceStats): StatsView {
  return {
    job_id: job.id,
    ...(job.spec.name !== undefined && { name: job.spec.name }),
    cpus: stats.cpus,
    memory_bytes: stats.memoryBytes,
    memory_limit_bytes: stats.memoryLimitBytes,
    network_received_bytes: stats.networkReceivedBytes,
    network_sent_bytes: stats.networkSentBytes,
    block_read_bytes: stats.blockReadBytes,
    block_written_bytes: stats.blockWrittenBytes,
    pids: stats.pids,
  };
}

export function queueStatsView(stats: QueueStats): QueueStatsView {
  return {
    queue_size: stats.queueSize,
    waiting: stats.waiting,
    delayed: stats.delayed,
    working: stats.working,
    worker_count: stats.workerCount,
    running: stats.running,
    paused: stats.isPaused,
    draining: stats.isDraining,
  };
}
