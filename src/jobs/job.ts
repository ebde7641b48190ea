import type { InstanceId, JobId, NodeId } from '../kernel/ids.ts';
import type { JobSpec } from './spec.ts';

/** Each state with what it means. */
export const JOB_STATES = {
  pending: 'accepted and durable; waits for a worker or for its next attempt',
  pulling: 'its image is being fetched',
  starting: 'its container is being made, started and probed',
  running: 'its container is up, and ready where a probe is declared',
  stopping: 'it was asked to stop and has not ended yet',
  complete: 'its container exited 0, or was stopped on request',
  failed: 'it could not be deployed, or its container exited otherwise',
  cancelled: 'it was ended before it ran',
} as const;
export type JobState = keyof typeof JOB_STATES;

/** Why a job stands where it stands, where the state alone does not say it. Stable: clients branch on it. */
export const JOB_REASONS = {
  exited: 'the container exited by itself',
  stopped: 'stopped on request',
  cancelled: 'cancelled on request',
  duplicate: 'another node has the job of the same idempotency key',
  oom_killed: 'the container ran out of memory',
  exited_during_start: 'the container exited before it was ready',
  not_ready: 'the container did not become ready in time',
  unhealthy: 'its healthcheck failed while it started',
  queue_timeout: 'no worker was free in time',
  pull_timeout: 'the image did not arrive in time',
  run_timeout: 'the container ran longer than allowed',
  image_not_found: 'the image does not exist',
  image_unauthorized: 'the registry wants other credentials',
  image_error: 'the image could not be fetched',
  image_missing: 'the image is not on this host, and the job does not allow a pull',
  invalid_plan: 'the engine refused the container',
  start_failed: 'the engine could not start the container',
  port_in_use: 'a host port is taken',
  name_conflict: 'a container that is not ours has the name',
  engine_error: 'the engine failed',
  container_lost: 'the container was removed by somebody else',
  restarts_exhausted: 'the container kept exiting',
  children_ended: 'the copies on all nodes ended well',
  child_failed: 'the copy on some node did not end well',
} as const;
export type JobReason = keyof typeof JOB_REASONS;

/** What somebody asked of a job, kept apart from what is. */
export type JobDesire = 'run' | 'stop' | 'cancel';

/** Where a job's container is and how it went. */
export interface JobInstance {
  readonly id: InstanceId;
  readonly startedAtMs?: number;
  readonly address?: string;
  readonly ports?: readonly {
    containerPort: number;
    protocol: 'tcp' | 'udp';
    hostPort: number;
    hostAddress: string;
  }[];
}

export interface JobOutcome {
  readonly reason: JobReason;
  /** A sentence for people. */
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly oomKilled?: boolean;
  /** Of one that ended as a duplicate: the node whose job counts. */
  readonly duplicateOf?: NodeId;
  /** Whether trying the same again can help. */
  readonly retryable: boolean;
}

/** How a job ends that is cancelled. */
export const CANCELLED: JobOutcome = {
  reason: 'cancelled',
  message: 'cancelled on request',
  retryable: false,
};

/** Nodes that one job may have copies on. */
export const MAX_CHILDREN = 1_024;

/** The copy of a job that one node runs, as the parent's owner last heard of it. Its id follows from parent and node. */
export interface JobChild {
  readonly node: NodeId;
  readonly state: JobState;
  /** Its node has it, or has refused it for good. */
  readonly isDelivered: boolean;
}

/** A job as its owner knows it. Immutable: each change makes a new one, in the job log's transaction. */
export interface Job {
  readonly id: JobId;
  readonly owner: NodeId;
  /** Place of the last change in the owner's log: `epoch` orders the lives of the store, `seq` the changes in it. */
  readonly epoch: number;
  readonly seq: number;
  readonly spec: JobSpec;
  /** Who asked: the token's name, or `local`. */
  readonly caller: string;
  readonly idempotencyKey: string | undefined;
  readonly state: JobState;
  readonly desire: JobDesire;
  /** Counts from 1. */
  readonly attempt: number;
  /** How often the node started the container again after it had run, since it last stayed up for long. */
  readonly restarts: number;
  readonly instance: JobInstance | undefined;
  /** How the job ended; while it is pending again, how the attempt before ended. */
  readonly outcome: JobOutcome | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** When it last became running. */
  readonly runningAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  /** How long a stop may take before SIGKILL, where the one who asked for it said so. */
  readonly stopGraceMs: number | undefined;
  /** Wall clock before which the next attempt or restart does not begin. */
  readonly notBeforeMs: number | undefined;
  /** Of a copy: the job that each node has a copy of. */
  readonly parent?: JobId;
  /** Of a job that each node has a copy of: the copies. It has no container itself, and follows from them. */
  readonly children?: readonly JobChild[];
  /** Only of another node's job: some of its spec was left out of the record that its owner sends. */
  readonly isAbridged?: true;
}

/** One line of a job's history, and what subscribers receive: a change that has been committed. */
export interface JobEvent {
  readonly epoch: number;
  readonly seq: number;
  readonly jobId: JobId;
  readonly atMs: number;
  /** `removed` is the last event of a job. */
  readonly type: JobState | 'removed';
  readonly attempt: number;
  /** What happened, in a sentence; with the reason in front where there is one. */
  readonly reason: JobReason | undefined;
  readonly message: string | undefined;
  readonly exitCode: number | undefined;
}

const ENDED: ReadonlySet<JobState> = new Set(['complete', 'failed', 'cancelled']);

export function hasEnded(job: Pick<Job, 'state'>): boolean {
  return ENDED.has(job.state);
}

/** Whether it stands for the copies on several nodes, and has no container itself. */
export function isParent(job: Pick<Job, 'children'>): boolean {
  return job.children !== undefined;
}

/** Whether another node's job of the same idempotency key counts in its place. */
export function isDuplicate(job: Pick<Job, 'outcome'>): boolean {
  return job.outcome?.reason === 'duplicate';
}

/** Whether its container runs, or ran and is to be started again, or is being stopped. */
export function isUp(job: Pick<Job, 'state'>): boolean {
  return job.state === 'running' || job.state === 'stopping';
}
