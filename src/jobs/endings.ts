import { failpoint } from '../kernel/failpoint.ts';
import type { JobId, NodeId } from '../kernel/ids.ts';
import { RuntimeError } from '../runtime/errors.ts';
import type { JobContext } from './context.ts';
import { clearInstance } from './deployment.ts';
import { JobError } from './errors.ts';
import {
  CANCELLED,
  hasEnded,
  isDuplicate,
  isParent,
  isUp,
  type Job,
  type JobOutcome,
  type JobReason,
} from './job.ts';
import { notEnded } from './job-log.ts';
import type { JobWaits } from './wait.ts';
import { CancelRequest } from './worker.ts';
import type { WorkerPool } from './worker-pool.ts';

/** Ends jobs because somebody asks: before they run by `cancel`, after that by `stop`; `remove` takes what has ended. */
export class Endings {
  readonly #context: JobContext;
  readonly #pool: WorkerPool;
  readonly #waits: JobWaits;

  constructor(deps: { context: JobContext; pool: WorkerPool; waits: JobWaits }) {
    this.#context = deps.context;
    this.#pool = deps.pool;
    this.#waits = deps.waits;
  }

  /** Resolves with the job once it has ended as `cancelled`; `signal` ends the wait, not the cancel. */
  async cancel(id: JobId, signal?: AbortSignal): Promise<Job> {
    let isUndone = true;
    const job = await this.#context.log.change(
      id,
      (now) => {
        if (isUp(now) || hasEnded(now)) throw wrongState(now, 'cancelled', isUp(now) ? '; use Stop' : '');
        // One with copies ends when they have.
        if (this.#pool.isWorkingOn(id) || isParent(now)) {
          return now.desire === 'cancel'
            ? undefined
            : { patch: { desire: 'cancel' }, note: 'cancel requested' };
        }
        // No worker has it. An attempt that a shutdown cut off may have left a container.
        isUndone = now.state === 'pending';
        return { to: 'cancelled', patch: { desire: 'cancel', outcome: CANCELLED } };
      },
      'request',
    );
    this.#pool.abort(id, new CancelRequest('cancelled on request'));
    // What cannot be cleared now is a leftover, which the reconcile finds.
    if (!isUndone) await clearInstance(this.#context, job, false).catch(() => undefined);
    return hasEnded(job) ? job : this.#whenEnded(id, signal);
  }

  /**
   * Cancels or stops a job, whichever it needs when its turn comes, and with `hurries` cuts a stop short that is under way. Resolves
   * with the job once it has ended; `signal` ends the wait.
   */
  async end(
    id: JobId,
    { hurries, graceMs }: { readonly hurries: boolean; readonly graceMs?: number },
    signal?: AbortSignal,
  ): Promise<Job> {
    for (;;) {
      const job = this.#context.log.require(id);
      if (hasEnded(job)) return job;
      try {
        if (!isUp(job)) return await this.cancel(id, signal);
        if (job.state === 'running') await this.stop(id, graceMs === undefined ? {} : { graceMs });
        else if (hurries) await this.#hurry(job);
        return await this.#whenEnded(id, signal);
      } catch (error) {
        // It has moved on meanwhile.
        if (!(error instanceof JobError && error.code === 'invalid_state')) throw error;
      }
    }
  }

  /** Resolves with the job once the wish is durable; carried out by the supervisor. */
  stop(id: JobId, options: { graceMs?: number } = {}): Promise<Job> {
    return this.#context.log.change(
      id,
      (now) => {
        if (now.state === 'stopping') return undefined;
        if (now.state !== 'running') throw wrongState(now, 'stopped', hasEnded(now) ? '' : '; use Cancel');
        return { to: 'stopping', patch: { desire: 'stop', stopGraceMs: options.graceMs } };
      },
      'request',
    );
  }

  /**
   * Ends a job as the duplicate of another node's: one that runs is stopped, any other cancelled. Resolves with the job once the
   * wish is durable; one that has ended, or was told so before, stays as it is.
   */
  async endAsDuplicate(id: JobId, keeper: NodeId): Promise<Job> {
    let isUndone = false;
    const outcome = duplicateOf(keeper);
    const job = await this.#context.log.change(id, (now) => {
      if (hasEnded(now) || isDuplicate(now)) return undefined;
      if (now.state === 'stopping') return { patch: { outcome } };
      if (now.state === 'running') return { to: 'stopping', patch: { desire: 'stop', outcome } };
      if (this.#pool.isWorkingOn(id)) return { patch: { desire: 'cancel', outcome } };
      isUndone = now.state !== 'pending';
      return { to: 'cancelled', patch: { desire: 'cancel', outcome } };
    });
    this.#pool.abort(id, new CancelRequest(outcome.message));
    // What cannot be cleared now is a leftover, which the reconcile finds.
    if (isUndone) await clearInstance(this.#context, job, false).catch(() => undefined);
    return job;
  }

  /**
   * The container goes first: should it fail, or the node die, the job is still there to be removed again. So it is
   * when `signal` ends the wait of a forced one.
   */
  async remove(id: JobId, options: { force?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    let job = this.#context.log.require(id);
    if (!hasEnded(job)) {
      if (options.force !== true) throw notEnded(job);
      job = await this.end(id, { hurries: true }, options.signal);
    }
    failpoint('during-remove');
    if (mayHaveInstance(job)) await clearInstance(this.#context, job, false);
    failpoint('after-remove-before-save');
    await this.#context.log.remove(id);
  }

  /** Whoever forces does not wait for a stop that takes its time. */
  async #hurry(job: Job): Promise<void> {
    if (job.instance === undefined) return;
    await this.#context.driver.stop(job.instance.id, { graceMs: 0 }).catch((error: unknown) => {
      // The stop under way came first.
      if (!(error instanceof RuntimeError && error.code === 'not_found')) throw error;
    });
  }

  #whenEnded(id: JobId, signal: AbortSignal | undefined): Promise<Job> {
    return this.#waits.for(id, { until: 'ended', signals: [signal] });
  }
}

function duplicateOf(keeper: NodeId): JobOutcome {
  const message = `the job of node ${keeper} counts`;
  return { reason: 'duplicate', message, retryable: false, duplicateOf: keeper };
}

/**
 * How a job ends that has no container: it never had one, or that is gone before it ends so. Such a job goes without the
 * engine; should anything be left all the same, it is a leftover of a removed job, which the reconcile finds.
 */
const WITHOUT_INSTANCE: ReadonlySet<JobReason | undefined> = new Set<JobReason>([
  'cancelled',
  'queue_timeout',
  'pull_timeout',
  'image_not_found',
  'image_unauthorized',
  'image_error',
  'image_missing',
]);

function mayHaveInstance(job: Job): boolean {
  if (isParent(job)) return false;
  return job.instance !== undefined || !WITHOUT_INSTANCE.has(job.outcome?.reason);
}

function wrongState(job: Job, deed: string, remedy: string): JobError {
  return new JobError('invalid_state', `job ${job.id} is ${job.state} and cannot be ${deed}${remedy}`, {
    details: { job_id: job.id, status: job.state },
  });
}
