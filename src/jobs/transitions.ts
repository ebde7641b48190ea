import { invariant } from '../kernel/errors.ts';
import { hasEnded, type Job, type JobState } from './job.ts';

/** Where a job may go from each state within its attempt. A retry, `pending` again, is a new attempt. */
const NEXT: Readonly<Record<JobState, readonly JobState[]>> = {
  pending: ['pulling', 'starting', 'failed', 'cancelled'],
  pulling: ['starting', 'pending', 'failed', 'cancelled'],
  starting: ['running', 'pending', 'failed', 'cancelled'],
  running: ['stopping', 'complete', 'failed'],
  // Cancelled by nobody's wish: only as the duplicate of another node's job.
  stopping: ['complete', 'failed', 'cancelled'],
  complete: [],
  failed: [],
  cancelled: [],
};

/** What may change beside the state. Everything else of a job is fixed when it is accepted. */
export type JobPatch = Partial<
  Pick<
    Job,
    | 'desire'
    | 'restarts'
    | 'stopGraceMs'
    | 'instance'
    | 'outcome'
    | 'notBeforeMs'
    | 'runningAtMs'
    | 'attempt'
    | 'children'
  >
>;

export function canAdvance(from: JobState, to: JobState): boolean {
  return NEXT[from].includes(to);
}

/** The only function that changes a job's state. `nowMs` is the wall clock. */
export function advance(job: Job, to: JobState, nowMs: number, patch: JobPatch = {}): Job {
  invariant(canAdvance(job.state, to), `a job cannot go from ${job.state} to ${to}`);
  const isRetry = to === 'pending';
  invariant(
    isRetry === ((patch.attempt ?? job.attempt) === job.attempt + 1),
    `attempt ${patch.attempt ?? job.attempt} after ${job.attempt} in ${to}`,
  );
  const next: Job = { ...job, notBeforeMs: undefined, ...patch, state: to, updatedAtMs: nowMs };
  if (to === 'running') return { ...next, runningAtMs: nowMs, outcome: undefined };
  return hasEnded(next) ? { ...next, finishedAtMs: nowMs } : next;
}
