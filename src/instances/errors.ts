import { CodedError } from '../kernel/errors.ts';

/** Each code with what it means to who asked for an instance. */
export const INSTANCE_ERROR_CODES = {
  busy: 'as many instances run, or as many callers wait, as may',
  start_failed: 'the instance could not be started',
  not_running: 'the job that was asked for has no container that runs',
  draining: 'the node accepts nothing new',
} as const;
export type InstanceErrorCode = keyof typeof INSTANCE_ERROR_CODES;

export class InstanceError extends CodedError<InstanceErrorCode> {
  override readonly name = 'InstanceError';
}
