import type { JobId, NodeId } from '../kernel/ids.ts';
import type { InstanceStats, LogChunk, LogsOptions, PullProgress } from '../runtime/driver.ts';
import type { Job, JobEvent, JobState } from './job.ts';
import type { JobRequest } from './spec.ts';

/**
 * What the rest of the node may ask of its jobs. Every method that names a job fails with a `JobError` `not_found`
 * when there is none; every method that waits, when its caller went away with `cancelled` and when too many wait
 * with `too_many_waits`; every one that changes something, when the disk is full with `store_full`.
 * A job may be another node's: what is known of it here is told at once, and whatever only its owner can do or knows fails
 * with `peer_unreachable` when that does not answer.
 */
export interface Jobs {
  /**
   * Accepts a job. Resolves once it is durable, or with `wait_ms` once it runs, has ended, or the time is over, or when
   * `signal` says that the caller went away.
   * Fails with `policy_denied`, `idempotency_conflict`, `queue_full`, `draining` or `store_full`, and has then left nothing behind.
   */
  create(
    request: JobRequest,
    caller: string,
    options?: { signal?: AbortSignal },
  ): Promise<{ job: Job; deduplicated: boolean }>;
  /** The state alone, on the shortest way. */
  stateOf(id: JobId): JobState | Promise<JobState>;
  get(id: JobId): JobSnapshot | Promise<JobSnapshot>;
  /** The same, with all of its spec also where the record that its owner sends leaves some out; if its owner answers. */
  inspect(id: JobId, signal?: AbortSignal): JobSnapshot | Promise<JobSnapshot>;
  /** Newest first. */
  list(filter: JobFilter): { jobs: JobSnapshot[]; nextCursor: string | undefined };
  /** The newest 1,000 changes of a job, oldest first. */
  history(id: JobId, signal?: AbortSignal): ObservedEvent[] | Promise<ObservedEvent[]>;
  /** Resolves when the job has ended, or is `running` at least; fails with `timeout` or, when the caller left, `cancelled`. */
  wait(
    id: JobId,
    options: { until: 'running' | 'ended'; timeoutMs?: number; signal?: AbortSignal },
  ): Promise<JobSnapshot>;
  /** Ends a job that does not run yet; `invalid_state` otherwise. Resolves when it has ended as `cancelled`. */
  cancel(id: JobId, options?: { signal?: AbortSignal }): Promise<JobSnapshot>;
  /** Ends a running job; `invalid_state` otherwise. Resolves when the wish is durable. */
  stop(id: JobId, options?: { graceMs?: number }): Promise<JobSnapshot>;
  /** Removes an ended job and its container; with `force` ends it first, unless the caller goes away meanwhile. */
  remove(id: JobId, options?: { force?: boolean; signal?: AbortSignal }): Promise<void>;
  logs(id: JobId, options: JobLogsOptions): AsyncIterable<LogChunk>;
  /** One sample of every running job of this node, or of one job. Fails with `engine_unavailable` while the engine is away. */
  stats(id?: JobId, signal?: AbortSignal): Promise<{ job: Job; stats: InstanceStats }[]>;
  /**
   * Committed changes of this node's jobs after `after` (or from now on), in order; with `allNodes` in between those of other
   * nodes' jobs, from now on, as they are learnt of. Fails with `invalid_state` when they are kept no more, or when the reader
   * is too far behind.
   */
  events(options: EventsOptions): AsyncIterable<ObservedEvent>;
  queue(): QueueStats;
  pause(): void;
  resume(): void;
}

/** What a node does with jobs of its own: at once, since nobody else is asked. */
export interface OwnJobs extends Jobs {
  /** `undefined` when this node has no such job. */
  find(id: JobId): Job | undefined;
  stateOf(id: JobId): JobState;
  get(id: JobId): JobSnapshot;
  inspect(id: JobId): JobSnapshot;
  history(id: JobId): JobEvent[];
}

/** A job with what is observed beside its record. */
export interface JobSnapshot {
  readonly job: Job;
  /** The engine does not answer, so nobody knows better than the record. */
  readonly isUnknown: boolean;
  readonly pull: PullProgress | undefined;
  /** Only of another node's job. */
  readonly remote?: RemoteObservation;
}

export interface RemoteObservation {
  /** How long ago its owner was last heard, ms. */
  readonly ageMs: number;
  /** Its owner was not heard for so long that it may be gone. An observation, never a state. */
  readonly isLost: boolean;
}

export interface EventsOptions {
  readonly after?: { readonly epoch: number; readonly seq: number };
  readonly allNodes?: boolean;
  readonly signal: AbortSignal;
}

export interface JobLogsOptions extends LogsOptions {
  /** In place of `sinceMs`: so long before now by the clock of the job's owner, ms. */
  readonly sinceAgoMs?: number;
}

/** Where `owner` is set, it is of another node's job, and `epoch` and `seq` are places in that node's log. */
export type ObservedEvent = JobEvent & { readonly owner?: NodeId };

export interface JobFilter {
  readonly states?: readonly JobState[];
  readonly idPrefix?: string;
  readonly name?: string;
  /** Those of other nodes, too, as far as they are known here. */
  readonly allNodes?: boolean;
  /** Only those of one node. */
  readonly owner?: NodeId;
  /** At most 1,000. */
  readonly limit: number;
  readonly cursor?: string;
}

export interface QueueStats {
  /** How many may wait. */
  readonly queueSize: number;
  readonly waiting: number;
  /** Of those, how many wait for their next attempt. */
  readonly delayed: number;
  readonly working: number;
  readonly workerCount: number;
  readonly running: number;
  readonly isPaused: boolean;
  /** Begins with none of those that wait: it is paused, or as many run as may. */
  readonly isHeld: boolean;
  /** Nothing new is accepted, because the node is drained or stops. */
  readonly isDraining: boolean;
}
