import type { Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { isBusy, type CarriedJobs } from './carried/carried-jobs.ts';
import { JobError } from './errors.ts';
import type { Job } from './job.ts';
import { snapshotOf, type JobMirror, type MirroredJob } from './job-mirror.ts';
import type { JobSnapshot } from './jobs.ts';
import { JobWaits, type WatchedJobs } from './wait.ts';

/**
 * Waits that are carried to their owners at once: each takes the place of a call for minutes. Those beyond are answered when
 * the change is told of here, which is hardly later.
 */
export const MAX_CARRIED_WAITS = 16;

export interface WaitOptions {
  readonly until: 'running' | 'ended';
  readonly timeoutMs?: number;
}

/** Lets callers wait for jobs of other nodes. */
export class ElsewhereWaits {
  readonly #mirror: JobMirror;
  readonly #carried: CarriedJobs;
  readonly #told: JobWaits;
  #carriedCount = 0;

  constructor(maxWaitMs: number, deps: { mirror: JobMirror; carried: CarriedJobs; clock: Clock }) {
    this.#mirror = deps.mirror;
    this.#carried = deps.carried;
    const isAwaited = (id: JobId): boolean => this.#told.isAwaited(id);
    this.#told = new JobWaits(maxWaitMs, { log: watched(deps.mirror, isAwaited), clock: deps.clock });
  }

  /**
   * The owner says it first; what is told of its jobs here does as well, and for any number of callers. Fails as waiting for one of
   * this node's own jobs does.
   */
  async for(target: MirroredJob, options: WaitOptions, signal: AbortSignal): Promise<JobSnapshot> {
    const { id } = target.job;
    if (this.#mirror.find(id) === undefined) return this.#carried.wait(target, options, signal);
    const answered = new AbortController();
    using either = new LinkedSignal([signal, answered.signal]);
    const told = this.#told
      .for(id, { ...options, signals: [either.signal] })
      .then((job) => snapshotOf({ ...(this.#mirror.find(id) ?? target), job }));
    const carried =
      this.#carriedCount < MAX_CARRIED_WAITS ? this.#carry(target, options, either.signal, told) : told;
    try {
      return await Promise.race([carried, told]);
    } finally {
      // The other one ends too, and what it fails with then is nobody's business.
      for (const wait of [carried, told]) wait.catch(() => undefined);
      answered.abort(new DOMException('it has been answered', 'AbortError'));
    }
  }

  /** Where the owner has no place for it either, being told has to do. */
  async #carry(
    target: MirroredJob,
    options: WaitOptions,
    signal: AbortSignal,
    told: Promise<JobSnapshot>,
  ): Promise<JobSnapshot> {
    this.#carriedCount += 1;
    try {
      return await this.#carried.wait(target, options, signal);
    } catch (error) {
      if (!isBusy(error)) throw error;
      return await told;
    } finally {
      this.#carriedCount -= 1;
    }
  }
}

function watched(mirror: JobMirror, isAwaited: (id: JobId) => boolean): WatchedJobs {
  const get = (id: JobId): Job | undefined => mirror.find(id)?.job;
  return {
    get,
    require: (id) => {
      const found = get(id);
      if (found === undefined) throw new JobError('not_found', 'job not found', { details: { job_id: id } });
      return found;
    },
    // Of several owners' jobs of one id, the one that counts is meant, whichever has changed.
    subscribe: (listener) =>
      mirror.subscribe((event) => {
        // A read for each change of all nodes would be a tenth of what hearing them costs.
        if (isAwaited(event.jobId)) listener(event, get(event.jobId));
      }),
  };
}
