import { backoffMs } from '../kernel/backoff.ts';
import { failpoint } from '../kernel/failpoint.ts';
import type { InstanceId, JobId } from '../kernel/ids.ts';
import { SingleFlight } from '../kernel/single-flight.ts';
import type { InstanceExit } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import type { JobContext } from './context.ts';
import { instanceOf } from './deployment.ts';
import { isEngineAway } from './engine-gate.ts';
import { outcomeOfExit } from './failure.ts';
import { hasEnded, type Job, type JobOutcome } from './job.ts';
import type { JobChange } from './job-log.ts';

/** Between a container's exit and its restart: doubles up to the cap. */
const RESTART_BACKOFF = { firstMs: 500, capMs: 60_000 };
/** A container that was up for so long works: restarts are counted, and their backoff grows, from there on anew. */
export const STEADY_MS = 600_000;

/**
 * Follows every job that runs until it has ended: records exits, restarts where the spec says so, stops what was asked
 * to stop or ran too long. Everything it does may be repeated; the engine watch calls it again for what it missed, also
 * when the engine is back: until then nothing is tried.
 */
export class Supervisor {
  readonly #context: JobContext;
  /** Looks under way, one per job, and whether one more is due after it: what it saw may be older than the reason. */
  readonly #observing = new Map<JobId, { isDueAgain: boolean }>();
  /** A stop or a restart under way, one of each per job. */
  readonly #stopping = new SingleFlight<JobId, void>();
  readonly #restarting = new SingleFlight<JobId, void>();
  /** One timer per running job that has a limit or waits for its restart. */
  readonly #timers = new Map<JobId, Disposable>();
  /** When running jobs with a limit must end, monotonic ms. */
  readonly #deadlines = new Map<JobId, number>();
  /** Live jobs whose container was heard to exit before they were recorded as running. */
  readonly #exitedEarly = new Set<JobId>();
  #isClosed = false;

  constructor(context: JobContext) {
    this.#context = context;
  }

  /** Takes a job in its charge, or lets it go: called with every job that changed, after the commit. */
  follow(id: JobId, after: Job | undefined, before: Job | undefined): void {
    const isUp = after?.state === 'running' || after?.state === 'stopping';
    if (!isUp) {
      if (after === undefined || hasEnded(after)) this.#exitedEarly.delete(id);
      this.#deadlines.delete(id);
      return this.#clearTimer(id);
    }
    if (after.state === 'stopping' && before?.state !== 'stopping') {
      this.#clearTimer(id);
      this.stop(id);
      return;
    }
    if (after.state !== 'running') return;
    if (after.notBeforeMs !== undefined) this.#scheduleRestart(after);
    else if (before?.state !== 'running' || before.notBeforeMs !== undefined) {
      this.#armRunLimit(after);
      if (this.#exitedEarly.delete(id)) this.observe(id);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const id of [...this.#timers.keys()]) this.#clearTimer(id);
  }

  /** Looks at a job's container and records what it sees. */
  observe(id: JobId): void {
    const underWay = this.#observing.get(id);
    if (underWay !== undefined) underWay.isDueAgain = true;
    else this.#background(id, 'observe', this.#observeUntilSettled(id));
  }

  /** Records the exit of a job's container that somebody else has seen; `running` is the job as it was then. */
  exited(running: Job, exit: InstanceExit): void {
    failpoint('after-exit-before-save');
    this.#background(running.id, 'exit', this.#record(running, exit));
  }

  /** Stops the container of a job that is `stopping`. */
  stop(id: JobId): void {
    this.#background(
      id,
      'stop',
      this.#stopping.run(id, () => this.#stop(id)),
    );
  }

  async #observeUntilSettled(id: JobId): Promise<void> {
    const look = { isDueAgain: true };
    this.#observing.set(id, look);
    try {
      while (look.isDueAgain) {
        look.isDueAgain = false;
        await this.#observe(id);
      }
    } finally {
      this.#observing.delete(id);
    }
  }

  async #observe(id: JobId): Promise<void> {
    const { driver, log, gate } = this.#context;
    const job = log.get(id);
    if (job === undefined || hasEnded(job)) return;
    if (job.state !== 'running' && job.state !== 'stopping') return void this.#exitedEarly.add(id);
    if (job.instance === undefined) return;
    // A restart that met a dead engine is due still.
    if (job.notBeforeMs !== undefined && job.state === 'running') {
      if (!this.#timers.has(id)) this.#scheduleRestart(job);
      return;
    }
    if (!gate.isAvailable) return;
    const view = await driver.inspect(job.instance.id);
    failpoint('after-exit-before-save');
    if (view === undefined) await this.#record(job, undefined);
    else if (view.exit !== undefined) await this.#record(job, view.exit);
  }

  /** `exit` is undefined when the container is gone. */
  async #record(seen: Job, exit: InstanceExit | undefined): Promise<void> {
    const { log, clock } = this.#context;
    await log.change(seen.id, (job) => {
      // What was seen belongs to another life of the container.
      if (!isSameLife(job, seen)) return undefined;
      if (job.state === 'stopping') return endOfStop(job, exit);
      if (job.state !== 'running' || job.notBeforeMs !== undefined) return undefined;
      if (exit === undefined) return { to: 'failed', patch: { outcome: LOST } };
      return afterExit(job, exit, clock.wallMs());
    });
  }

  async #stop(id: JobId): Promise<void> {
    const { driver, log, defaults, gate } = this.#context;
    const job = log.get(id);
    if (job?.state !== 'stopping' || job.instance === undefined || !gate.isAvailable) return;
    failpoint('before-stop');
    try {
      await driver.stop(job.instance.id, {
        graceMs: job.stopGraceMs ?? job.spec.stop_timeout ?? defaults.stopTimeoutMs,
      });
    } catch (error) {
      if (!(error instanceof RuntimeError && error.code === 'not_found')) throw error;
    }
    failpoint('after-stop-before-save');
    await this.#observe(id);
  }

  #scheduleRestart(job: Job): void {
    this.#clearTimer(job.id);
    // However far the wall clock has jumped, a restart is never later than the longest backoff.
    const delayMs = Math.min((job.notBeforeMs ?? 0) - this.#context.clock.wallMs(), RESTART_BACKOFF.capMs);
    this.#timers.set(
      job.id,
      this.#context.clock.after(delayMs, () => {
        this.#timers.delete(job.id);
        this.#background(
          job.id,
          'restart',
          this.#restarting.run(job.id, () => this.#restart(job.id)),
        );
      }),
    );
  }

  async #restart(id: JobId): Promise<void> {
    const { driver, log, clock, gate } = this.#context;
    const job = log.get(id);
    if (job?.state !== 'running' || job.notBeforeMs === undefined || job.instance === undefined) return;
    if (!gate.isAvailable) return;
    const instanceId: InstanceId = job.instance.id;
    let view = await driver.inspect(instanceId);
    // It may have been started before this process was: never twice, also when it has exited again.
    if (view !== undefined && view.startedAtMs === job.instance.startedAtMs) {
      try {
        await driver.start(instanceId);
      } catch (error) {
        if (!(error instanceof RuntimeError) || isEngineAway(error)) throw error;
        await log.change(id, (now) => afterFailedRestart(now, error, clock.wallMs()));
        return;
      }
      view = await driver.inspect(instanceId);
    }
    await log.change(id, (now) => {
      if (now.state !== 'running') return undefined;
      if (view === undefined) return { to: 'failed', patch: { outcome: LOST } };
      const patch = { notBeforeMs: undefined, instance: instanceOf(view) };
      return { patch, note: `restarted (${now.restarts})` };
    });
    // Asked to stop between the start and its record: the stop found a container that did not run yet.
    if (log.get(id)?.state !== 'running') await driver.stop(instanceId, { graceMs: 0 });
    // Nobody listened to its exit while it was not recorded as running.
    this.observe(id);
  }

  #armRunLimit(job: Job): void {
    const { clock, defaults } = this.#context;
    const limitMs = job.spec.timeouts.run ?? defaults.runTimeoutMs;
    if (limitMs === 0 || job.runningAtMs === undefined) return;
    this.#clearTimer(job.id);
    let deadlineMs = this.#deadlines.get(job.id);
    if (deadlineMs === undefined) {
      // The wall clock counts only for what ran before this process did: it may jump at any time.
      const ranMs = Math.max(0, clock.wallMs() - job.runningAtMs);
      deadlineMs = clock.monotonicMs() + Math.max(0, limitMs - ranMs);
      this.#deadlines.set(job.id, deadlineMs);
    }
    this.#timers.set(
      job.id,
      clock.after(deadlineMs - clock.monotonicMs(), () =>
        this.#background(job.id, 'run limit', this.#runsTooLong(job.id, limitMs)),
      ),
    );
  }

  async #runsTooLong(id: JobId, limitMs: number): Promise<void> {
    const message = `the container ran longer than ${limitMs} ms`;
    await this.#context.log.change(id, (job) =>
      job.state === 'running'
        ? { to: 'stopping', patch: { outcome: { reason: 'run_timeout', message, retryable: true } } }
        : undefined,
    );
  }

  #clearTimer(id: JobId): void {
    this.#timers.get(id)?.[Symbol.dispose]();
    this.#timers.delete(id);
  }

  /** What fails here is seen again by the next reconcile. */
  #background(id: JobId, what: string, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (this.#isClosed) return;
      if (isEngineAway(error)) return this.#context.gate.reportFailure(error);
      this.#context.logger.warn({ job_id: id, what, err: error }, 'supervision will be tried again');
    });
  }
}

const LOST: JobOutcome = {
  reason: 'container_lost',
  message: 'the container was removed by somebody else',
  retryable: true,
};

/** The count alone does not tell: it begins anew. */
function isSameLife(job: Job, other: Job): boolean {
  return (
    job.restarts === other.restarts &&
    job.instance?.id === other.instance?.id &&
    job.instance?.startedAtMs === other.instance?.startedAtMs
  );
}

function endOfStop(job: Job, exit: InstanceExit | undefined): JobChange {
  const facts = exit === undefined ? {} : exitFacts(exit);
  if (job.outcome?.reason === 'run_timeout')
    return { to: 'failed', patch: { outcome: { ...job.outcome, ...facts } } };
  if (job.outcome?.reason === 'duplicate')
    return { to: 'cancelled', patch: { outcome: { ...job.outcome, ...facts } } };
  return {
    to: 'complete',
    patch: { outcome: { reason: 'stopped', message: 'stopped on request', retryable: false, ...facts } },
  };
}

function exitFacts(exit: InstanceExit): Pick<JobOutcome, 'exitCode' | 'signal' | 'oomKilled'> {
  const { exitCode, signal, oomKilled } = outcomeOfExit(exit);
  return {
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    ...(oomKilled === undefined ? {} : { oomKilled }),
  };
}

/** What a retry can mend counts as one more restart. */
function afterFailedRestart(job: Job, error: RuntimeError, nowMs: number): JobChange {
  if (job.state !== 'running') return undefined;
  const message = `restart: ${error.message}`;
  const outcome: JobOutcome = { reason: 'start_failed', message, retryable: error.retryable };
  if (!error.retryable || job.restarts >= job.spec.restart.max_attempts)
    return { to: 'failed', patch: { outcome } };
  return restartLater(job, outcome, nowMs);
}

function restartLater(job: Job, outcome: JobOutcome, nowMs: number): JobChange {
  const notBeforeMs = nowMs + backoffMs(RESTART_BACKOFF, job.restarts + 1);
  return {
    patch: { restarts: job.restarts + 1, notBeforeMs, outcome },
    note: `${outcome.message}; will restart`,
  };
}

function afterExit(job: Job, exit: InstanceExit, nowMs: number): JobChange {
  const outcome = outcomeOfExit(exit);
  const isSuccess = exit.exitCode === 0 && !exit.oomKilled;
  const { policy, max_attempts: maxRestarts } = job.spec.restart;
  const mayRestart = policy === 'always' || (policy === 'on-failure' && !isSuccess);
  if (!mayRestart) return { to: isSuccess ? 'complete' : 'failed', patch: { outcome } };
  const wasSteady = exit.finishedAtMs - (job.instance?.startedAtMs ?? exit.finishedAtMs) >= STEADY_MS;
  const counted: Job = wasSteady ? { ...job, restarts: 0 } : job;
  if (counted.restarts >= maxRestarts) {
    const message = `${outcome.message}, after ${counted.restarts} restarts`;
    return { to: 'failed', patch: { outcome: { ...outcome, reason: 'restarts_exhausted', message } } };
  }
  return restartLater(counted, outcome, nowMs);
}
