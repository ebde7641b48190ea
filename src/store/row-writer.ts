import { failpoint } from '../kernel/failpoint.ts';
import type { JobId } from '../kernel/ids.ts';
import { hasEnded, type Job, type JobEvent } from '../jobs/job.ts';
import { MAX_HISTORY, type JobWriter, type Tombstone } from '../jobs/job-store.ts';
import {
  encodeBody,
  encodeEventBody,
  encodeSpec,
  eventChecksum,
  jobChecksum,
  tombstoneChecksum,
  type JobRow,
  type RowSource,
} from './job-row.ts';
import type { Statements } from './statements.ts';

interface Change {
  readonly id: JobId;
  /** Undefined when the job was removed. */
  readonly job: Job | undefined;
  readonly expiresAtMs: number | undefined;
}

/** A spec as it is stored, and its fingerprint. */
interface SpecText {
  readonly text: string;
  readonly hash: string | null;
}

/**
 * Turns jobs, events and tombstones into rows, inside the transaction of the one who calls. Changes of jobs are kept
 * until `flush`: a job that goes through several states in one transaction is written once, as it is at the end.
 */
export class RowWriter implements JobWriter {
  readonly nextSeq: () => number;
  readonly #statements: Statements;
  readonly #source: RowSource;
  #changes: Change[] = [];
  readonly #specTexts = new WeakMap<Job['spec'], SpecText>();

  constructor(statements: Statements, source: RowSource, nextSeq: () => number) {
    this.#statements = statements;
    this.#source = source;
    this.nextSeq = nextSeq;
  }

  insertJob(job: Job, specHash: string | undefined, expiresAtMs: number | undefined): void {
    failpoint('before-insert');
    const text = encodeSpec(job.spec, this.#source.box, job.id);
    this.#specTexts.set(job.spec, { text, hash: specHash ?? null });
    const row = this.#rowOf(job, expiresAtMs);
    this.#statements.insertJob.run(
      row.id, row.owner, row.epoch, row.seq, row.state, row.name, row.created_at, row.expires_at,
      row.spec_hash, row.spec, row.body, row.checksum,
    ); // prettier-ignore
  }

  updateJob(job: Job, expiresAtMs: number | undefined): void {
    this.#changes.push({ id: job.id, job, expiresAtMs });
  }

  /** How many changes are kept; a place to go back to. */
  get changeCount(): number {
    return this.#changes.length;
  }

  /** Forgets the changes after the first `count`, which were undone. */
  forgetAfter(count: number): void {
    this.#changes.length = count;
  }

  /** Writes what is kept. Before each COMMIT. */
  flush(): void {
    const newest = new Map(this.#changes.map((change) => [change.id, change]));
    this.#changes = [];
    for (const { job, expiresAtMs } of newest.values()) {
      if (job === undefined) continue;
      const { epoch, seq, state, expires_at, body, checksum, id } = this.#rowOf(job, expiresAtMs);
      this.#statements.updateJob.run(epoch, seq, state, expires_at, body, checksum, id);
    }
  }

  appendEvent(event: JobEvent): void {
    const row = { seq: event.seq, epoch: event.epoch, job: event.jobId, body: encodeEventBody(event) };
    this.#statements.insertEvent.run(row.seq, row.epoch, row.job, row.body, eventChecksum(row));
  }

  trimHistory(id: JobId): void {
    this.#statements.trimHistory.run(id, id, MAX_HISTORY);
  }

  bury(tombstone: Tombstone): void {
    const { id, epoch, seq, state, specHash = null, removedAtMs } = tombstone;
    const row = { id, epoch, seq, state, spec_hash: specHash, removed_at: removedAtMs };
    // There is no row left that an earlier change of the same transaction could be written to.
    this.#changes.push({ id, job: undefined, expiresAtMs: undefined });
    this.#statements.deleteJob.run(id);
    this.#statements.insertTombstone.run(
      id, epoch, seq, state, specHash, removedAtMs, tombstoneChecksum(row),
    ); // prettier-ignore
    // Superseded by the removal itself, which stays as long as the tombstone.
    this.#statements.deleteEvents.run(id);
  }

  specHash(id: JobId): string | undefined {
    const row = this.#statements.specHash.get(id) as Pick<JobRow, 'spec_hash'> | undefined;
    return row?.spec_hash ?? undefined;
  }

  #rowOf(job: Job, expiresAtMs: number | undefined): JobRow {
    const spec = this.#specTextOf(job);
    const row = {
      id: job.id,
      owner: job.owner,
      epoch: job.epoch,
      seq: job.seq,
      state: job.state,
      name: job.spec.name ?? null,
      created_at: job.createdAtMs,
      // An ended job always has a time at which it goes; the index of unfinished jobs relies on it.
      expires_at: hasEnded(job) ? (expiresAtMs ?? Number.MAX_SAFE_INTEGER) : null,
      spec_hash: spec.hash,
      spec: spec.text,
      body: encodeBody(job),
    };
    return { ...row, checksum: jobChecksum(row) };
  }

  /** The spec's stored text never changes; it is read back once per spec object, for the checksum. */
  #specTextOf(job: Job): SpecText {
    let known = this.#specTexts.get(job.spec);
    if (known === undefined) {
      const row = this.#statements.job.get(job.id) as unknown as JobRow;
      known = { text: row.spec, hash: row.spec_hash };
      this.#specTexts.set(job.spec, known);
    }
    return known;
  }
}
