import type { JobId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import type { JobContext } from './context.ts';
import { JobError } from './errors.ts';
import { hasEnded, isUp, type Job } from './job.ts';

/** Most callers that wait at once: each has a timer, and hears of every change. */
export const MAX_WAITS = 10_000;
/** When one who waits in vain for a place may come again, ms. */
const RETRY_AFTER_MS = 1_000;

type Until = 'running' | 'ended';
type WaitContext = Pick<JobContext, 'log' | 'clock'>;

/** Lets callers wait for jobs: so many at once, each only so long. */
export class JobWaits {
  readonly #context: WaitContext;
  readonly #maxWaitMs: number;
  #count = 0;

  /** `maxWaitMs`: longest that anybody waits, whatever they ask for. */
  constructor(maxWaitMs: number, context: WaitContext) {
    this.#maxWaitMs = maxWaitMs;
    this.#context = context;
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
    using linked = new LinkedSignal(options.signals.filter((signal) => signal !== undefined));
    try {
      const limitMs = Math.min(timeoutMs, this.#maxWaitMs);
      return await change(this.#context, id, { until, timeoutMs: limitMs, signal: linked.signal });
    } finally {
      this.#count -= 1;
    }
  }
}

function noPlace(): JobError {
  return new JobError('too_many_waits', `${MAX_WAITS} callers wait already`, {
    details: { limit: MAX_WAITS },
    retryable: true,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function isThere(job: Job, until: Until): boolean {
  return hasEnded(job) || (until === 'running' && isUp(job));
}

function change(
  context: WaitContext,
  id: JobId,
  options: { until: Until; timeoutMs: number; signal: AbortSignal },
): Promise<Job> {
  const { until, timeoutMs, signal } = options;
  return new Promise((resolve, reject) => {
    const cleanUp = new DisposableStack();
    const settle = (action: () => void): void => {
      cleanUp.dispose();
      action();
    };
    const fail = (error: JobError): void => settle(() => reject(error));
    const onAbort = (): void => {
      const reason: unknown = signal.reason;
      fail(reason instanceof JobError ? reason : new JobError('cancelled', 'the caller went away'));
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    cleanUp.defer(() => signal.removeEventListener('abort', onAbort));
    cleanUp.use(
      context.clock.after(timeoutMs, () => {
        const status = context.log.get(id)?.state;
        const message = `job ${id} is ${status ?? 'gone'} after ${timeoutMs} ms`;
        fail(new JobError('timeout', message, { details: { job_id: id, status }, retryable: true }));
      }),
    );
    cleanUp.use(
      context.log.subscribe((event, after) => {
        if (event.jobId !== id) return;
        if (after === undefined)
          fail(new JobError('not_found', 'job not found', { details: { job_id: id } }));
        else if (isThere(after, until)) settle(() => resolve(after));
      }),
    );
  });
}
