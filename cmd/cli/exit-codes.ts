import type { JobView } from '../../src/api/wire.ts';

/** What the program's end says. Scripts rely on these numbers. */
export const EXIT_CODES = {
  ok: 0,
  /** The job failed, or the node refused what was asked. */
  failed: 1,
  usage: 2,
  not_found: 3,
  not_allowed: 4,
  timed_out: 5,
  queue_full: 6,
  unreachable: 7,
} as const;
export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/** As a shell reports a program that a signal ended. */
export const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

/** The exit code for each code of an error. One that is not here is a plain failure. */
const EXIT_CODE_OF_ERROR: Readonly<Record<string, ExitCode>> = {
  usage: EXIT_CODES.usage,
  invalid_address: EXIT_CODES.usage,
  invalid_config: EXIT_CODES.usage,
  invalid_params: EXIT_CODES.usage,
  invalid_spec: EXIT_CODES.usage,
  bad_query: EXIT_CODES.usage,
  invalid_entry: EXIT_CODES.usage,
  ambiguous: EXIT_CODES.usage,
  not_found: EXIT_CODES.not_found,
  controller_not_found: EXIT_CODES.not_found,
  version_not_found: EXIT_CODES.not_found,
  no_controllers: EXIT_CODES.not_found,
  session_not_found: EXIT_CODES.not_found,
  unauthenticated: EXIT_CODES.not_allowed,
  forbidden: EXIT_CODES.not_allowed,
  policy_denied: EXIT_CODES.not_allowed,
  misdirected: EXIT_CODES.not_allowed,
  too_many_tries: EXIT_CODES.not_allowed,
  timeout: EXIT_CODES.timed_out,
  queue_full: EXIT_CODES.queue_full,
  unreachable: EXIT_CODES.unreachable,
  peer_unreachable: EXIT_CODES.unreachable,
  bad_reply: EXIT_CODES.unreachable,
};

export function exitCodeOfError(code: string): ExitCode {
  return Object.hasOwn(EXIT_CODE_OF_ERROR, code)
    ? (EXIT_CODE_OF_ERROR[code] ?? EXIT_CODES.failed)
    : EXIT_CODES.failed;
}

/** The exit code of an ended job: 0 when it is complete, its container's own when that failed, 1 otherwise. */
export function exitCodeOfJob(job: Pick<JobView, 'status' | 'exit_code'>): number {
  if (job.status === 'complete') return EXIT_CODES.ok;
  const { exit_code: exitCode } = job;
  return exitCode !== undefined && exitCode > 0 && exitCode < 256 ? exitCode : EXIT_CODES.failed;
}
