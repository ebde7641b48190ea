import type { JobId } from '../kernel/ids.ts';
import type { JobLog } from './job-log.ts';
import type { JobChangeRow, JobStore } from './job-store.ts';
import type { Job } from './job.ts';
import { encodeRecord } from './record.ts';

/** A job as it goes to other nodes; without a body when it was removed. */
export interface FeedRecord {
  readonly key: JobId;
  readonly seq: number;
  readonly body: Uint8Array | undefined;
}

export interface FeedChange {
  readonly key: JobId;
  readonly seq: number;
  /** Place of the record that this one takes the place of. */
  readonly before: number | undefined;
  readonly body: (() => Uint8Array) | undefined;
}

/** This node's job log as what is told to its peers: the newest record of each job, by its place in the log. */
export class JobFeed {
  readonly #log: JobLog;
  readonly #store: JobStore;

  constructor(deps: { log: JobLog; store: JobStore }) {
    this.#log = deps.log;
    this.#store = deps.store;
  }

  get epoch(): number {
    return this.#store.epoch;
  }

  get head(): number {
    return this.#store.lastSeq;
  }

  get floor(): number {
    return this.#store.eventFloor();
  }

  recordsAfter(seq: number, limit: number): FeedRecord[] {
    return this.#store.changesAfter(seq, limit).map(recordOf);
  }

  record(key: string): FeedRecord | undefined {
    const id = key as JobId;
    const job = this.#log.get(id);
    if (job !== undefined) return recordOf({ id, seq: job.seq, job });
    const tombstone = this.#store.tombstone(id);
    return tombstone === undefined ? undefined : { key: id, seq: tombstone.seq, body: undefined };
  }

  *live(): Generator<{ key: JobId; seq: number }> {
    for (const { id, seq } of this.#store.places()) yield { key: id, seq };
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    return this.#log.subscribe((event, after, before) =>
      listener({ key: event.jobId, seq: event.seq, before: before?.seq, body: bodyOf(after) }),
    );
  }

  openEpoch(above: number): Promise<void> {
    return this.#store.openEpoch(above);
  }
}

function recordOf({ id, seq, job }: JobChangeRow): FeedRecord {
  return { key: id, seq, body: job === undefined ? undefined : encodeRecord(job) };
}

/** Not before somebody wants to hear it. */
function bodyOf(job: Job | undefined): (() => Uint8Array) | undefined {
  return job === undefined ? undefined : () => encodeRecord(job);
}
