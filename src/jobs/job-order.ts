import type { Job } from './job.ts';
import type { MirrorQuery } from './job-mirror.ts';

type Place = Pick<Job, 'createdAtMs' | 'id' | 'owner'>;

/** The order of every list of jobs. Creation times of several nodes are told by several clocks: good enough to look at. */
export function newestFirst(one: Place, other: Place): number {
  if (one.createdAtMs !== other.createdAtMs) return other.createdAtMs - one.createdAtMs;
  if (one.id !== other.id) return one.id < other.id ? 1 : -1;
  return one.owner < other.owner ? -1 : 1;
}

/** Whether a list has the job, its length aside. */
export function isMatch(
  job: Job,
  { states, idPrefix = '', name, owner, before }: Omit<MirrorQuery, 'limit'>,
): boolean {
  if (states?.includes(job.state) === false || !job.id.startsWith(idPrefix)) return false;
  if (name !== undefined && job.spec.name !== name) return false;
  if (owner !== undefined && job.owner !== owner) return false;
  if (before === undefined || before.createdAtMs > job.createdAtMs) return true;
  return before.createdAtMs === job.createdAtMs && job.id < before.id;
}
