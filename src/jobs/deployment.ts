import { backoffMs } from '../kernel/backoff.ts';
import { sleep } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import { failpoint } from '../kernel/failpoint.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import type { InstanceId } from '../kernel/ids.ts';
import type { InstancePlan, InstanceView } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { instanceMark, type JobContext } from './context.ts';
import { isEngineAway } from './engine-gate.ts';
import { DeployFailure, deployFailureOf } from './failure.ts';
import { markOf, type InstanceMark } from './instance-labels.ts';
import { instanceName } from './instance-name.ts';
import type { Job, JobInstance } from './job.ts';
import { logTail } from '../runtime/log-tail.ts';
import { planInstance } from './plan.ts';
import { awaitReady } from './readiness.ts';

/** Creates per attempt: the first, one after a pull, and some for names that are freed meanwhile. */
const MAX_CREATES = 4;
/**
 * A name that is taken although no container has it: the engine is at a create that we gave up, or at a removal. It is
 * waited for, some seconds in all.
 */
const NAME_BACKOFF = { firstMs: 100, capMs: 2_000 };
const MAX_NAME_WAITS = 10;
/** Calls that the engine did not answer in time, though it answers others, before the attempt is given up. */
const MAX_TIMEOUTS = 3;

/**
 * One attempt at deploying a job: image, container, start, readiness; resolves with the container when it is ready
 * (or has exited already, where nothing was to be waited for). May be run again after a crash or a lost reply at any
 * point: the name decides whether the container is there, its labels whether it is this attempt's.
 * Fails with `DeployFailure`, or with the signal's reason.
 */
export async function deploy(context: JobContext, job: Job, signal: AbortSignal): Promise<InstanceView> {
  for (let failures = 1, timeouts = 0; ; failures += 1) {
    try {
      // A queue full of jobs must not knock one after the other where nobody answers.
      await context.gate.whenAvailable(signal);
      return await attempt(context, job, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isEngineAway(error)) throw deployFailureOf(error);
      if (error instanceof RuntimeError && error.code === 'timeout') timeouts += 1;
      if (timeouts > MAX_TIMEOUTS) throw deployFailureOf(error);
      await context.gate.recover(error, failures, signal);
    }
  }
}

async function attempt(context: JobContext, job: Job, signal: AbortSignal): Promise<InstanceView> {
  const mark = instanceMark(context, job);
  const plan = planInstance(job.spec, mark, context.defaults);
  if ((job.spec.pull ?? context.defaults.pull) === 'always') await pull(context, job, signal);
  signal.throwIfAborted();
  const { id, isStarted } = await createOrAdopt(context, job, plan, mark, signal);
  recordStarting(context, job);
  signal.throwIfAborted();
  failpoint('before-start');
  // Never twice: a container that ran and exited while nobody looked has done its work.
  if (!isStarted) await context.driver.start(id);
  failpoint('after-start-before-save');
  return ready(context, job, id, signal);
}

async function createOrAdopt(
  context: JobContext,
  job: Job,
  plan: InstancePlan,
  mark: InstanceMark,
  signal: AbortSignal,
): Promise<{ id: InstanceId; isStarted: boolean }> {
  for (let creates = 1, waits = 1; ; creates += 1) {
    signal.throwIfAborted();
    try {
      failpoint('before-create');
      const id = await context.driver.create(plan);
      failpoint('after-create-before-save');
      return { id, isStarted: false };
    } catch (error) {
      if (!(error instanceof RuntimeError) || creates >= MAX_CREATES) throw error;
      if (error.code === 'image_not_found') await pull(context, job, signal);
      else if (error.code !== 'name_conflict') throw error;
      else {
        const adopted = await adopt(context, plan.name, mark);
        if (adopted === 'taken by nobody') {
          if (waits > MAX_NAME_WAITS) throw error;
          creates -= 1;
          await sleep(context.clock, backoffMs(NAME_BACKOFF, waits++), signal);
        } else if (adopted !== 'free') {
          return { id: adopted.id, isStarted: adopted.startedAtMs !== undefined };
        }
      }
    }
  }
}

/**
 * The container of that name when it is this attempt's; `free` when the name is free now; `taken by nobody` when no
 * container has it, yet; else a failure.
 */
async function adopt(
  context: JobContext,
  name: string,
  mark: InstanceMark,
): Promise<InstanceView | 'free' | 'taken by nobody'> {
  const view = await context.driver.inspect(name);
  if (view === undefined) return 'taken by nobody';
  const other = markOf(view.labels);
  const isOurs = other?.owner === mark.owner && other.job === mark.job;
  if (isOurs && other.attempt === mark.attempt) {
    context.logger.info({ job_id: mark.job, container_id: view.id }, 'container adopted');
    return view;
  }
  if (isOurs && other.attempt < mark.attempt) {
    await context.driver.remove(view.id);
    return 'free';
  }
  throw new DeployFailure({
    reason: 'name_conflict',
    message: `a container named ${name} exists that is not this job's; remove it: docker rm -f ${name}`,
    retryable: false,
  });
}

async function pull(context: JobContext, job: Job, signal: AbortSignal): Promise<void> {
  if ((job.spec.pull ?? context.defaults.pull) === 'never') {
    throw new DeployFailure({
      reason: 'image_missing',
      message: `image ${job.spec.image} is not on this host, and the job says pull: never`,
      retryable: false,
    });
  }
  await context.log.change(job.id, (now) => (now.state === 'pending' ? { to: 'pulling' } : undefined));
  const limitMs = job.spec.timeouts.pull ?? context.defaults.pullTimeoutMs;
  using limited = new LinkedSignal([signal], { clock: context.clock, limitMs });
  const startedMs = context.clock.monotonicMs();
  let outcome = 'ok';
  try {
    await context.driver.pullImage(job.spec.image, {
      signal: limited.signal,
      onProgress: (progress) => void context.pulls.set(job.id, progress),
    });
  } catch (error) {
    outcome = error instanceof RuntimeError ? error.code : 'aborted';
    const isSilent = error instanceof RuntimeError && error.code === 'timeout';
    if (!limited.isTimedOut && !isSilent) throw error;
    const message = limited.isTimedOut
      ? `image ${job.spec.image} did not arrive within ${limitMs} ms`
      : messageOf(error);
    throw new DeployFailure({ reason: 'pull_timeout', message, retryable: true }, error);
  } finally {
    const bytes = context.pulls.get(job.id)?.downloadedBytes ?? 0;
    context.telemetry.pullEnded(outcome, bytes, context.clock.monotonicMs() - startedMs);
    context.pulls.delete(job.id);
  }
}

/** Not awaited: what it says follows from the container's name and labels, should it be lost. */
function recordStarting(context: JobContext, job: Job): void {
  context.log
    .change(job.id, (now) =>
      now.state === 'pending' || now.state === 'pulling' ? { to: 'starting' } : undefined,
    )
    .catch((error: unknown) =>
      context.logger.warn({ job_id: job.id, err: error }, 'job change not recorded'),
    );
}

async function ready(
  context: JobContext,
  job: Job,
  id: InstanceId,
  signal: AbortSignal,
): Promise<InstanceView> {
  const limitMs = job.spec.timeouts.start ?? context.defaults.startTimeoutMs;
  using limited = new LinkedSignal([signal], { clock: context.clock, limitMs });
  try {
    return await awaitReady(id, job.spec, context, limited.signal);
  } catch (error) {
    if (!limited.isTimedOut) throw error;
    const message = `the container was not ready within ${limitMs} ms`;
    throw new DeployFailure({ reason: 'not_ready', message, retryable: true }, error);
  }
}

/** Stops what a failed attempt left running. It stays for its logs, until its job goes or tries again. */
export async function haltAttempt(context: JobContext, job: Job): Promise<void> {
  const view = await context.driver.inspect(instanceName(job.id));
  if (view === undefined || !isOfJob(context, view, job) || view.state !== 'running') return;
  await context.driver.stop(view.id, { graceMs: job.spec.stop_timeout ?? context.defaults.stopTimeoutMs });
}

/** Removes the job's container, whichever attempt made it; gives back the last lines it wrote. */
export async function clearInstance(context: JobContext, job: Job, keepTail: boolean): Promise<string> {
  const view = await context.driver.inspect(instanceName(job.id));
  if (view === undefined || !isOfJob(context, view, job)) return '';
  const tail = keepTail && view.startedAtMs !== undefined ? await logTail(context.driver, view.id) : '';
  await context.driver.remove(view.id);
  return tail;
}

function isOfJob(context: JobContext, view: InstanceView, job: Job): boolean {
  const mark = markOf(view.labels);
  return mark?.owner === context.owner && mark.job === job.id;
}

export function instanceOf(view: InstanceView): JobInstance {
  return {
    id: view.id,
    ...(view.startedAtMs === undefined ? {} : { startedAtMs: view.startedAtMs }),
    ...(view.address === undefined ? {} : { address: view.address }),
    ...(view.ports.length === 0 ? {} : { ports: view.ports }),
  };
}
