import { CodedError } from '../kernel/errors.ts';

/** Each code with what it means. The API turns them into JSON-RPC codes and HTTP statuses, in one place. */
export const JOB_ERROR_CODES = {
  not_found: 'there is no such job',
  invalid_state: 'the job is in a state in which this cannot be done',
  invalid_spec: 'the spec is not valid',
  policy_denied: 'the configuration does not allow what the spec asks for',
  idempotency_conflict: 'the idempotency key was used with another spec',
  queue_full: 'too many jobs wait already',
  draining: 'the node accepts nothing new',
  store_full: 'the disk is full',
  too_many_waits: 'too many callers wait for jobs already',
  timeout: 'what was waited for did not happen in time',
  cancelled: 'the caller went away',
  peer_unreachable:
    'the node that owns the job, or is to run it, does not answer; whether a change was made there is unknown',
} as const;
export type JobErrorCode = keyof typeof JOB_ERROR_CODES;

export function isJobErrorCode(code: string): code is JobErrorCode {
  return Object.hasOwn(JOB_ERROR_CODES, code);
}

/** A request that cannot be granted. */
export class JobError extends CodedError<JobErrorCode> {
  override readonly name = 'JobError';
}
