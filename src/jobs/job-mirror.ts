import type { JobId, NodeId } from '../kernel/ids.ts';
import type { Job, JobEvent } from './job.ts';
import type { JobQuery } from './job-store.ts';
import type { JobSnapshot, RemoteObservation } from './jobs.ts';

/** A job of another node, as its owner last told of it. Values of its `env` never leave the owner. */
export interface MirroredJob extends RemoteObservation {
  readonly job: Job;
}

/** How a job of another node is shown. */
export function snapshotOf({ job, ageMs, isLost }: MirroredJob): JobSnapshot {
  return { job, isUnknown: false, pull: undefined, remote: { ageMs, isLost } };
}

/** What the jobs need of the mirrors of other nodes' job logs. Reads only: nobody but its owner changes a job. */
export interface JobMirror {
  /** Where several owners have the id (a key that both sides of a partition accepted), the lowest owner's that has not ended as a duplicate. */
  find(id: JobId): MirroredJob | undefined;
  /** Whether some owner had the id and has removed it, and none is known to have it. */
  wasRemoved(id: JobId): boolean;
  /** When a node was last heard, whether or not it has any job; infinitely long ago for one that never was. */
  observe(owner: NodeId): RemoteObservation;
  /** Newest first. */
  list(query: MirrorQuery): MirroredJob[];
  /** Every change of a mirrored job, in the order in which this node learnt of it. Must not throw. */
  subscribe(listener: MirrorListener): Disposable;
  /**
   * Asks the peers once, within a bounded time, for a job that neither this node nor its mirror knows; whoever asks for the same
   * shares the question. Fails with `too_many_waits` when too many are asked for.
   */
  ask(id: JobId, signal?: AbortSignal): Promise<MirroredJob | undefined>;
}

export interface MirrorQuery extends JobQuery {
  /** Only the jobs of this node. */
  readonly owner?: NodeId;
}

/** `after` is undefined for a removed job. */
export type MirrorListener = (event: JobEvent, owner: NodeId, after: Job | undefined) => void;
