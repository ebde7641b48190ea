import { CodedError } from '../kernel/errors.ts';

/** Each code with what it means for the job; drivers translate their engine's words into these, once. */
export const RUNTIME_ERROR_CODES = {
  engine_unavailable: 'no engine answers, or the connection broke; the outcome of the call is unknown',
  timeout: 'the engine did not answer in time; the outcome of the call is unknown',
  name_conflict: 'an instance of that name exists',
  not_found: 'there is no such instance',
  not_running: 'the instance does not run',
  image_not_found: 'the image, or that tag of it, does not exist',
  image_unauthorized: 'the registry wants other credentials',
  image_error: 'the pull failed in a way that a retry may mend',
  invalid_plan: 'the engine refused the plan',
  start_failed: 'the engine could not start the instance, for example because its command does not exist',
  port_in_use: 'a host port is taken',
  engine_error: 'the engine failed, or its answer cannot be read; the outcome of the call is unknown',
} as const;
export type RuntimeErrorCode = keyof typeof RUNTIME_ERROR_CODES;

const RETRYABLE: ReadonlySet<RuntimeErrorCode> = new Set([
  'engine_unavailable',
  'timeout',
  'image_error',
  'port_in_use',
  'engine_error',
]);

/** A failure of an engine, in our words. */
export class RuntimeError extends CodedError<RuntimeErrorCode> {
  override readonly name = 'RuntimeError';

  constructor(code: RuntimeErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(code, message, { ...options, retryable: RETRYABLE.has(code) });
  }
}
