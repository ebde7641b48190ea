import { CodedError } from '../kernel/errors.ts';
import type { JobId } from '../kernel/ids.ts';
import type { Job, JobEvent, JobState } from './job.ts';

/**
 * What the jobs need of a store: writes that share commits, and plain reads. Reads see what is committed, and inside
 * an operation also what this batch has inserted so far; of changed jobs they see what they were before the batch.
 */
export interface JobStore {
  /** Orders the lives of the store: greater after a loss or a restore. */
  readonly epoch: number;
  /** Place of the last committed change. */
  readonly lastSeq: number;
  /**
   * Runs `operation` in the next transaction, together with whatever else waits. When it throws, only its own effects
   * are undone and its error is the caller's. Resolves after the COMMIT is on disk.
   */
  write<T>(operation: (writer: JobWriter) => T, options: WriteOptions<T>): Promise<T>;
  /** Calls back whenever a batch was undone: what its operations did beside the store is void, and they may run again. */
  onRollback(listener: () => void): void;
  job(id: JobId): Job | undefined;
  tombstone(id: JobId): Tombstone | undefined;
  /** All that have not ended, oldest first. */
  unfinishedJobs(): Job[];
  /** Newest first. */
  jobs(query: JobQuery): Job[];
  /** The newest `MAX_HISTORY` events of a job, oldest first. */
  history(id: JobId): JobEvent[];
  /** Events after `seq`, in order, at most `limit`. */
  eventsAfter(seq: number, limit: number): JobEvent[];
  /** The newest change of each job that changed after `seq`, in the order of their seq, at most `limit`. */
  changesAfter(seq: number, limit: number): JobChangeRow[];
  /** Every job with the place of its newest change. */
  places(): Iterable<{ readonly id: JobId; readonly seq: number }>;
  /** Begins a greater epoch than `above`, durably: others know more of this log than is in it. */
  openEpoch(above: number): Promise<void>;
  /** Removals up to this seq are forgotten: who has seen less must start afresh. */
  eventFloor(): number;
  /** Ended jobs whose time is over, or that are beyond the newest `keepCount`; oldest first, at most `limit`. */
  expiredJobs(nowMs: number, keepCount: number, limit: number): JobId[];
  /** Forgets tombstones older than `beforeMs` and gives space back; cheap when there is nothing to do. */
  compact(beforeMs: number): Promise<void>;
}

/**
 * What a full disk means to a write. `admission` adds something new and is refused; `request` is a client's wish about
 * what is there, and is refused when the reserve is used up as well; `progress` records what has already happened and
 * is tried again until there is space.
 */
export type WriteKind = 'admission' | 'request' | 'progress';

export interface WriteOptions<T> {
  readonly kind: WriteKind;
  /** Called after the COMMIT, in the order of the operations and before anybody's promise resolves. */
  readonly onCommitted?: (result: T) => void;
}

/** The writing side, valid only inside an operation. */
export interface JobWriter {
  /** The next place in the owner's log. */
  nextSeq(): number;
  insertJob(job: Job, specHash: string | undefined, expiresAtMs: number | undefined): void;
  updateJob(job: Job, expiresAtMs: number | undefined): void;
  appendEvent(event: JobEvent): void;
  /** Forgets all events of a job but the newest `MAX_HISTORY`. */
  trimHistory(id: JobId): void;
  /** Removes the job and its history, and leaves a tombstone. */
  bury(tombstone: Tombstone): void;
  /** The fingerprint that was stored with a job's spec: of those with an idempotency key, to tell whether it is the same. */
  specHash(id: JobId): string | undefined;
}

/** Most events that are kept of one job: a container may be restarted for years. */
export const MAX_HISTORY = 1_000;

/** What is kept of a removed job: enough to answer its idempotency key. */
export interface Tombstone {
  readonly id: JobId;
  readonly epoch: number;
  readonly seq: number;
  readonly specHash: string | undefined;
  readonly state: JobState;
  readonly removedAtMs: number;
}

/** What became of a job by its newest change; `job` is undefined when it was removed. */
export interface JobChangeRow {
  readonly id: JobId;
  readonly seq: number;
  readonly job: Job | undefined;
}

export interface JobQuery {
  readonly states?: readonly JobState[];
  readonly idPrefix?: string;
  readonly name?: string;
  readonly limit: number;
  /** Only those older than this place in the order. */
  readonly before?: { readonly createdAtMs: number; readonly id: string };
}

/** Each code with what it means. All but `store_full` end the process: what is on disk is the truth to start from again. */
export const STORE_ERROR_CODES = {
  store_full: 'the disk is full; nothing was written',
  store_failed: 'the disk failed; what it holds is known only after a restart',
  store_corrupt: 'the file is damaged',
  store_locked: 'another process has it open',
  store_foreign: 'the file is not a store of this program, or of a newer version',
} as const;
export type StoreErrorCode = keyof typeof STORE_ERROR_CODES;

export class StoreError extends CodedError<StoreErrorCode> {
  override readonly name = 'StoreError';
}
