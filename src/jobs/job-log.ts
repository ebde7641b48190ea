import type { Clock } from '../kernel/clock.ts';
import type { JobId, NodeId } from '../kernel/ids.ts';
import { JobError } from './errors.ts';
import { hasEnded, type Job, type JobEvent, type JobState } from './job.ts';
import type { JobStore, JobWriter, Tombstone } from './job-store.ts';
import { advance, type JobPatch } from './transitions.ts';

/** A change to a job: a new state with a patch, a patch alone, or nothing. */
export type JobChange =
  { readonly to?: JobState; readonly patch?: JobPatch; readonly note?: string } | undefined;

export type NewJob = Pick<Job, 'id' | 'spec' | 'caller' | 'idempotencyKey'> &
  Partial<Pick<Job, 'state' | 'instance' | 'attempt' | 'outcome' | 'parent' | 'children'>>;

/** What an insert met: room, the job itself, or what is left of it. */
export type Inserted =
  | { readonly kind: 'inserted'; readonly job: Job }
  | { readonly kind: 'exists'; readonly job: Job; readonly specHash: string | undefined }
  | { readonly kind: 'removed'; readonly tombstone: Tombstone };

/** `before` is undefined for a new job, `after` for a removed one. */
export type JobListener = (event: JobEvent, after: Job | undefined, before: Job | undefined) => void;

export interface JobLogOptions {
  readonly owner: NodeId;
  /** When an ended job goes by itself, wall clock. */
  readonly expiryOf: (job: Job) => number;
}

interface Committed {
  readonly job: Job | undefined;
  readonly before: Job | undefined;
  readonly event: JobEvent | undefined;
}

/**
 * The node's own jobs: every change goes through here, one after the other, and is heard of only once it is on disk.
 * Those that have not ended are kept in memory; the others are read from the store.
 */
export class JobLog {
  readonly #store: JobStore;
  readonly #clock: Clock;
  readonly #options: JobLogOptions;
  readonly #live = new Map<JobId, Job>();
  /** Newest version of jobs written in a batch that is not committed yet. */
  readonly #staged = new Map<JobId, Job | undefined>();
  readonly #listeners = new Set<JobListener>();

  constructor(options: JobLogOptions, deps: { store: JobStore; clock: Clock }) {
    this.#options = options;
    this.#store = deps.store;
    this.#clock = deps.clock;
    deps.store.onRollback(() => this.#staged.clear());
    for (const job of deps.store.unfinishedJobs()) this.#live.set(job.id, job);
  }

  /** The jobs that have not ended, oldest first. */
  live(): IterableIterator<Job> {
    return this.#live.values();
  }

  /** The job if it has not ended: without a look into the store. */
  liveJob(id: JobId): Job | undefined {
    return this.#live.get(id);
  }

  get(id: JobId): Job | undefined {
    return this.#live.get(id) ?? this.#store.job(id);
  }

  require(id: JobId): Job {
    const job = this.get(id);
    if (job !== undefined) return job;
    throw new JobError('not_found', `job not found`, { details: { job_id: id } });
  }

  /** Listeners run synchronously after the commit, in the order of `seq`. They must not throw. */
  subscribe(listener: JobListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * `specHash`: the spec's fingerprint, where the job has an idempotency key. `isNewId`: the id was made for this job, by chance, so that no other can
   * have had it and none is looked for.
   */
  insert(
    draft: NewJob,
    { specHash, isNewId = false }: { specHash?: string; isNewId?: boolean } = {},
  ): Promise<Inserted> {
    const operation = (writer: JobWriter): Inserted & { event?: JobEvent } => {
      const existing = isNewId ? undefined : this.#current(draft.id);
      if (existing !== undefined) {
        return { kind: 'exists', job: existing, specHash: writer.specHash(draft.id) };
      }
      const tombstone = isNewId ? undefined : this.#store.tombstone(draft.id);
      if (tombstone !== undefined) return { kind: 'removed', tombstone };
      const job = this.#newJob(draft, writer.nextSeq());
      const event = eventOf(job, undefined);
      writer.insertJob(job, specHash, this.#expiryOf(job));
      writer.appendEvent(event);
      this.#staged.set(job.id, job);
      return { kind: 'inserted', job, event };
    };
    return this.#store.write(operation, {
      kind: 'admission',
      onCommitted: (result) => {
        if (result.kind === 'inserted')
          this.#publish({ job: result.job, before: undefined, event: result.event });
      },
    });
  }

  /**
   * Changes a job as `decide` says when its turn comes; `decide` sees the job as it is then, and may refuse by
   * throwing or leave it by returning undefined. Resolves with the job as it stands after the commit. A `request` fails
   * with a `StoreError` `store_full` when the disk is full; `progress` waits for space.
   */
  async change(
    id: JobId,
    decide: (job: Job) => JobChange,
    kind: 'request' | 'progress' = 'progress',
  ): Promise<Job> {
    const operation = (writer: JobWriter): Committed & { job: Job } => {
      const before = this.#current(id);
      if (before === undefined) throw new JobError('not_found', `job not found`, { details: { job_id: id } });
      const change = decide(before);
      if (change === undefined) return { job: before, before, event: undefined };
      const nowMs = this.#clock.wallMs();
      const changed =
        change.to === undefined
          ? { ...before, ...change.patch, updatedAtMs: nowMs }
          : advance(before, change.to, nowMs, change.patch);
      const job: Job = { ...changed, epoch: this.#store.epoch, seq: writer.nextSeq() };
      const event = eventOf(job, change.note);
      writer.updateJob(job, this.#expiryOf(job));
      writer.appendEvent(event);
      // A job goes through so many states and no more; only what happens within one, a restart, has no end.
      if (change.to === undefined) writer.trimHistory(id);
      this.#staged.set(id, job);
      return { job, before, event };
    };
    const { job } = await this.#store.write(operation, {
      kind,
      onCommitted: (result) => this.#publish(result),
    });
    return job;
  }

  /** Forgets an ended job; its tombstone stays. One that is gone already is fine. A full disk is told, as in `change`. */
  async remove(id: JobId): Promise<void> {
    const operation = (writer: JobWriter): Committed => {
      const before = this.#current(id);
      if (before === undefined) return { job: undefined, before, event: undefined };
      if (!hasEnded(before)) throw notEnded(before);
      const event: JobEvent = {
        ...eventOf(before, undefined),
        epoch: this.#store.epoch,
        seq: writer.nextSeq(),
        atMs: this.#clock.wallMs(),
        type: 'removed',
      };
      writer.bury({
        id,
        epoch: event.epoch,
        seq: event.seq,
        specHash: writer.specHash(id),
        state: before.state,
        removedAtMs: event.atMs,
      });
      writer.appendEvent(event);
      this.#staged.set(id, undefined);
      return { job: undefined, before, event };
    };
    await this.#store.write(operation, { kind: 'request', onCommitted: (result) => this.#publish(result) });
  }

  #current(id: JobId): Job | undefined {
    return this.#staged.has(id) ? this.#staged.get(id) : this.get(id);
  }

  #newJob(draft: NewJob, seq: number): Job {
    const nowMs = this.#clock.wallMs();
    const state = draft.state ?? 'pending';
    return {
      owner: this.#options.owner,
      epoch: this.#store.epoch,
      seq,
      desire: 'run',
      attempt: 1,
      restarts: 0,
      instance: undefined,
      outcome: undefined,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      runningAtMs: state === 'running' ? nowMs : undefined,
      finishedAtMs: hasEnded({ state }) ? nowMs : undefined,
      notBeforeMs: undefined,
      stopGraceMs: undefined,
      ...draft,
      state,
    };
  }

  #expiryOf(job: Job): number | undefined {
    return hasEnded(job) ? this.#options.expiryOf(job) : undefined;
  }

  #publish(committed: Committed): void {
    const { job, before, event } = committed;
    if (event === undefined) return;
    const id = event.jobId;
    // A later change of the same batch has its own turn.
    if (this.#staged.get(id) === job) this.#staged.delete(id);
    if (job === undefined || hasEnded(job)) this.#live.delete(id);
    else this.#live.set(id, job);
    for (const listener of this.#listeners) listener(event, job, before);
  }
}

/** The error for what needs an ended job. */
export function notEnded(job: Job): JobError {
  return new JobError(
    'invalid_state',
    `job ${job.id} is ${job.state}; stop or cancel it first, or use force`,
    {
      details: { job_id: job.id, status: job.state },
    },
  );
}

function eventOf(job: Job, note: string | undefined): JobEvent {
  return {
    epoch: job.epoch,
    seq: job.seq,
    jobId: job.id,
    atMs: job.updatedAtMs,
    type: job.state,
    attempt: job.attempt,
    reason: job.outcome?.reason,
    message: note ?? job.outcome?.message,
    exitCode: job.outcome?.exitCode,
  };
}
