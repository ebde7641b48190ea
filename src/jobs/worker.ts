import { backoffMs } from '../kernel/backoff.ts';
import { sleep } from '../kernel/clock.ts';
import { InvariantError, messageOf } from '../kernel/errors.ts';
import type { InstanceExit } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import type { JobContext } from './context.ts';
import { clearInstance, deploy, haltAttempt, instanceOf } from './deployment.ts';
import { isEngineAway } from './engine-gate.ts';
import { DeployFailure } from './failure.ts';
import { CANCELLED, hasEnded, type Job, type JobOutcome } from './job.ts';

/** Why work on a job ends early. */
export class CancelRequest extends Error {
  override readonly name = 'CancelRequest';
}
export class ShutdownRequest extends Error {
  override readonly name = 'ShutdownRequest';
}

/** Longest wait before the next attempt, ms. */
export const MAX_RETRY_BACKOFF_MS = 300_000;

/**
 * Carries one job from `pending` to `running` or an end, or to its next attempt. Rejects only for a broken invariant: a shutdown leaves the
 * job as it is in the store, for the next start of the node. `onExited` is called when the container has exited by the
 * time it was looked at, so that both can be recorded in one commit.
 */
export async function work(
  context: JobContext,
  job: Job,
  signal: AbortSignal,
  shutdown: AbortSignal,
  onExited: (running: Job, exit: InstanceExit) => void,
): Promise<void> {
  const startedMs = context.clock.monotonicMs();
  try {
    if (job.desire === 'cancel') throw new CancelRequest('cancelled on request');
    const view = await deploy(context, job, signal);
    const instance = instanceOf(view);
    const recorded = context.log.change(job.id, (now) => {
      if (now.desire === 'cancel') throw new CancelRequest('cancelled');
      return { to: 'running', patch: { instance } };
    });
    if (view.exit !== undefined) onExited({ ...job, instance }, view.exit);
    await recorded;
    context.telemetry.deployed(context.clock.monotonicMs() - startedMs);
  } catch (error) {
    await settle(context, job, error, signal, shutdown).catch((settleError: unknown) => {
      if (settleError instanceof InvariantError) throw settleError;
      if (!shutdown.aborted && !(settleError instanceof ShutdownRequest))
        context.logger.error({ job_id: job.id, err: settleError }, 'job could not be settled');
    });
  }
}

async function settle(
  context: JobContext,
  job: Job,
  error: unknown,
  signal: AbortSignal,
  shutdown: AbortSignal,
): Promise<void> {
  if (shutdown.aborted || error instanceof ShutdownRequest) return;
  if (error instanceof InvariantError) throw error;
  const isCancel =
    error instanceof CancelRequest || (signal.aborted && signal.reason instanceof CancelRequest);
  if (isCancel) return cancel(context, job, shutdown);
  if (!(error instanceof DeployFailure)) {
    context.logger.error({ job_id: job.id, err: error }, 'deployment failed unexpectedly');
  }
  const outcome: JobOutcome =
    error instanceof DeployFailure
      ? error.outcome
      : { reason: 'engine_error', message: messageOf(error), retryable: false };
  await fail(context, job, outcome, shutdown);
}

/** Removes what the attempt made, and only then says `cancelled`. */
async function cancel(context: JobContext, job: Job, shutdown: AbortSignal): Promise<void> {
  await cleanUp(context, job, shutdown, () => clearInstance(context, job, false));
  await context.log.change(job.id, (now) =>
    hasEnded(now) ? undefined : { to: 'cancelled', patch: { outcome: endOfCancel(now) } },
  );
}

/** Why it was to be cancelled, where that was said together with the wish. */
function endOfCancel({ outcome }: Job): JobOutcome {
  return outcome?.reason === 'duplicate' ? outcome : CANCELLED;
}

async function fail(
  context: JobContext,
  job: Job,
  outcome: JobOutcome,
  shutdown: AbortSignal,
): Promise<void> {
  const attempts = job.spec.retry?.attempts ?? context.defaults.retryAttempts;
  const isRetry = outcome.retryable && job.attempt < attempts;
  let message = outcome.message;
  if (isRetry) {
    const tail = await cleanUp(context, job, shutdown, () => clearInstance(context, job, true));
    if (tail !== undefined && tail !== '') message += `; its last output: ${tail}`;
  } else {
    await cleanUp(context, job, shutdown, () => haltAttempt(context, job));
  }
  const settled = await context.log
    .change(job.id, (now) => {
      if (hasEnded(now)) return undefined;
      if (now.desire === 'cancel') throw new CancelRequest('cancelled');
      if (!isRetry) return { to: 'failed', patch: { outcome } };
      const firstMs = job.spec.retry?.backoff ?? context.defaults.retryBackoffMs;
      const delayMs = backoffMs({ firstMs, capMs: Math.max(firstMs, MAX_RETRY_BACKOFF_MS) }, job.attempt);
      const notBeforeMs = context.clock.wallMs() + delayMs;
      return {
        to: 'pending',
        patch: { attempt: job.attempt + 1, outcome, notBeforeMs, instance: undefined },
        note: message,
      };
    })
    .catch((error: unknown) => {
      if (!(error instanceof CancelRequest)) throw error;
      return undefined;
    });
  if (settled === undefined) return cancel(context, job, shutdown);
  const level = isRetry ? 'warn' : 'error';
  context.logger[level](
    { job_id: job.id, attempt: job.attempt, reason: outcome.reason },
    isRetry ? 'attempt failed, will retry' : 'job failed',
  );
}

/** How often a cleanup that the engine refuses is tried, and how long is waited in between. */
const MAX_CLEANUP_TRIES = 3;
const CLEANUP_BACKOFF = { firstMs: 200, capMs: 2_000 };

/**
 * Repeats `deed` over outages of the engine. One that the engine keeps refusing is given up, so that the job gets its
 * end all the same: what is left of it is a leftover then, which the reconcile finds, or the next attempt.
 */
async function cleanUp<T>(
  context: JobContext,
  job: Job,
  signal: AbortSignal,
  deed: () => Promise<T>,
): Promise<T | undefined> {
  for (let tries = 1, failures = 1; ;) {
    try {
      return await deed();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RuntimeError)) throw error;
      if (isEngineAway(error)) {
        await context.gate.recover(error, failures++, signal);
      } else if (tries < MAX_CLEANUP_TRIES) {
        await sleep(context.clock, backoffMs(CLEANUP_BACKOFF, tries++), signal);
      } else {
        context.logger.warn({ job_id: job.id, err: error }, 'what an attempt left cannot be cleared yet');
        return undefined;
      }
    }
  }
}
