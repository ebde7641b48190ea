import { messageOf } from '../kernel/errors.ts';
import { RuntimeError, type RuntimeErrorCode } from '../runtime/errors.ts';
import type { InstanceExit } from '../runtime/driver.ts';
import type { JobOutcome, JobReason } from './job.ts';

/** Why an attempt at deploying a job came to nothing. */
export class DeployFailure extends Error {
  override readonly name = 'DeployFailure';
  readonly outcome: JobOutcome;

  constructor(outcome: JobOutcome, cause?: unknown) {
    super(outcome.message, cause === undefined ? undefined : { cause });
    this.outcome = outcome;
  }
}

const REASON_OF: Readonly<Record<RuntimeErrorCode, JobReason>> = {
  engine_unavailable: 'engine_error',
  timeout: 'engine_error',
  name_conflict: 'name_conflict',
  not_found: 'container_lost',
  not_running: 'container_lost',
  image_not_found: 'image_not_found',
  image_unauthorized: 'image_unauthorized',
  image_error: 'image_error',
  invalid_plan: 'invalid_plan',
  start_failed: 'start_failed',
  port_in_use: 'port_in_use',
  engine_error: 'engine_error',
};

/** The engine's refusal as the failure of an attempt; anything else is given back as it is. */
export function deployFailureOf(error: unknown): unknown {
  if (!(error instanceof RuntimeError)) return error;
  const outcome = { reason: REASON_OF[error.code], message: messageOf(error), retryable: error.retryable };
  return new DeployFailure(outcome, error);
}

/** How a container's end reads as the end of its job, when nobody asked for it. */
export function outcomeOfExit(exit: InstanceExit): JobOutcome {
  const facts = {
    exitCode: exit.exitCode,
    ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    ...(exit.oomKilled ? { oomKilled: true } : {}),
  };
  if (exit.oomKilled) {
    return { reason: 'oom_killed', message: 'the container ran out of memory', retryable: true, ...facts };
  }
  const detail = exit.message === undefined || exit.message === '' ? '' : `: ${exit.message}`;
  const signal = exit.signal === undefined ? '' : ` (${exit.signal})`;
  return {
    reason: 'exited',
    message: `the container exited with code ${exit.exitCode}${signal}${detail}`,
    retryable: exit.exitCode !== 0,
    ...facts,
  };
}
