import type { Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import { JobError } from './errors.ts';
import { hasEnded, isUp, type Job, type JobEvent } from './job.ts';

/** Most callers that wait at once: each has a timer. */
export const MAX_WAITS = 10_000;
/** When one who waits in vain for a place may come again, ms. */
const RETRY_AFTER_MS = 1_000;

type Until = 'running' | 'ended';

/** Hears of every change to the job that is waited for; `undefined` when it was removed. */
type Waiter = (after: Job | undefined) => void;

/** What waiting needs of a log of jobs. */
export interface WatchedJobs {
  /** The job as it is now; fails with `not_found`. */
  require(id: JobId): Job;
  get(id: JobId): Job | undefined;
  /** `after` is undefined for a removed job. */
  subscribe(listener: (event: JobEvent, after: Job | undefined) => void): Disposable;
}

/** Lets callers wait for jobs: so many at once, each only so long. */
export class JobWaits {
  readonly #context: { readonly log: WatchedJobs; readonly clock: Clock };
  readonly #maxWaitMs: number;
  readonly #waiters = new Map<JobId, Set<Waiter>>();
  #count = 0;

  /** `maxWaitMs`: longest that anybody waits, whatever they ask for. */
  constructor(maxWaitMs: number, context: { readonly log: WatchedJobs; readonly clock: Clock }) {
    this.#maxWaitMs = maxWaitMs;
    this.#context = context;
    context.log.subscribe((event, after) => {
      for (const waiter of this.#waiters.get(event.jobId) ?? []) waiter(after);
    });
  }

  isAwaited(id: JobId): boolean {
    return this.#waiters.has(id);
  }

  /**
   * Resolves with the job once it has ended, or is up at least with `until: 'running'`. Fails with `timeout`, with the
   * reason of a signal where that is a `JobError` and `cancelled` otherwise, with `not_found` when the job is removed
   * meanwhile, with `too_many_waits` when there is no place left.
   */
  async for(
    id: JobId,
    options: { until: Until; timeoutMs?: number; signals: readonly (AbortSignal | undefined)[] },
  ): Promise<Job> {
    const { until, timeoutMs = this.#maxWaitMs } = options;
    const now = this.#context.log.require(id);
    if (isThere(now, until)) return now;
    if (this.#count >= MAX_WAITS) throw noPlace();
    this.#count += 1;
    try {
      return await this.#change(id, until, Math.min(timeoutMs, this.#maxWaitMs), options.signals);
    } finally {
      this.#count -= 1;
    }
  }

  #change(
    id: JobId,
    until: Until,
    timeoutMs: number,
    signals: readonly (AbortSignal | undefined)[],
  ): Promise<Job> {
    return new Promise((resolve, reject) => {
      const cleanUp = new DisposableStack();
      const settle = (action: () => void): void => {
        cleanUp.dispose();
        action();
      };
      const fail = (error: JobError): void => settle(() => reject(error));
      for (const signal of signals) {
        if (signal === undefined) continue;
        if (signal.aborted) return fail(abortedBy(signal));
        const onAbort = (): void => fail(abortedBy(signal));
        signal.addEventListener('abort', onAbort, { once: true });
        cleanUp.defer(() => signal.removeEventListener('abort', onAbort));
      }
      cleanUp.use(
        this.#context.clock.after(timeoutMs, () => {
          const status = this.#context.log.get(id)?.state;
          const message = `job ${id} is ${status ?? 'gone'} after ${timeoutMs} ms`;
          fail(new JobError('timeout', message, { details: { job_id: id, status }, retryable: true }));
        }),
      );
      cleanUp.use(
        this.#listen(id, (after) => {
          if (after === undefined)
            fail(new JobError('not_found', 'job not found', { details: { job_id: id } }));
          else if (isThere(after, until)) settle(() => resolve(after));
        }),
      );
    });
  }

  #listen(id: JobId, waiter: Waiter): Disposable {
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters.add(waiter));
    return {
      [Symbol.dispose]: () => {
        waiters.delete(waiter);
        if (waiters.size === 0) this.#waiters.delete(id);
      },
    };
  }
}

function noPlace(): JobError {
  return new JobError('too_many_waits', `${MAX_WAITS} callers wait already`, {
    details: { limit: MAX_WAITS },
    retryable: true,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function abortedBy(signal: AbortSignal): JobError {
  const reason: unknown = signal.reason;
  return reason instanceof JobError ? reason : new JobError('cancelled', 'the caller went away');
}

function isThere(job: Job, until: Until): boolean {
  return hasEnded(job) || (until === 'running' && isUp(job));
}
