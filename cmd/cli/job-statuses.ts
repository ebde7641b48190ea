import type { JobStatus } from '../../src/api/wire.ts';

/** Whether a job of this status has ended. */
const HAS_ENDED: Readonly<Record<JobStatus, boolean>> = {
  pending: false,
  pulling: false,
  starting: false,
  running: false,
  stopping: false,
  complete: true,
  failed: true,
  cancelled: true,
};

export const JOB_STATUSES = Object.keys(HAS_ENDED) as readonly JobStatus[];
export const NOT_ENDED = JOB_STATUSES.filter((status) => !HAS_ENDED[status]);

export function hasEnded(status: JobStatus | 'removed'): boolean {
  return status === 'removed' || HAS_ENDED[status];
}
