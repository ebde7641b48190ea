import type { InstanceSummary } from '../runtime/driver.ts';
import { markOf } from './instance-labels.ts';
import { hasEnded, type Job } from './job.ts';

/**
 * What is to be done about a container that carries our labels:
 * `leave` it; `observe` it, since it is not what its job's record says; `stop` it again, as its job was asked to;
 * `import` it as a job, since the store knows nothing of it; `reap` it, since it is a leftover.
 */
export type Verdict = 'leave' | 'observe' | 'stop' | 'import' | 'reap';

/** Pure. `isRemoved`: the store holds a tombstone for the job. */
export function classify(summary: InstanceSummary, job: Job | undefined, isRemoved: boolean): Verdict {
  const mark = markOf(summary.labels);
  if (mark === undefined) return 'leave';
  const isUp = summary.state === 'running' || summary.state === 'paused';
  if (job === undefined) {
    if (isRemoved) return 'reap';
    // The store was lost or restored: what runs must go on, what ended keeps its logs; what never ran is nobody's.
    return summary.state === 'created' ? 'reap' : 'import';
  }
  if (mark.attempt < job.attempt) return 'reap';
  // One that is up while its restart is due was started by a process that died before it could say so.
  if (job.state === 'running') return isUp && job.notBeforeMs === undefined ? 'leave' : 'observe';
  if (job.state === 'stopping') return isUp ? 'stop' : 'observe';
  if (hasEnded(job)) {
    if (job.state === 'cancelled' || isUp) return 'reap';
    // An ended container stays for its logs, as long as its job.
    return 'leave';
  }
  // A worker has it in hand.
  return 'leave';
}
