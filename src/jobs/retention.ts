import type { JobId } from '../kernel/ids.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { hasEnded, type Job } from './job.ts';
import type { JobContext } from './context.ts';
import type { JobStore } from './job-store.ts';

export interface RetentionOptions {
  /** How many ended jobs are kept. */
  readonly keepCount: number;
  /** How long after its end a job is kept, unless it says less itself. */
  readonly keepMs: number;
  /** How long it is remembered that a removed job was there. */
  readonly tombstoneMs: number;
}

/** Between two rounds; also how late a job may go after its time. */
const ROUND_MS = 5_000;
/** Jobs removed in one round, so that a large clean-up leaves room for work. */
export const ROUND_SIZE = 100;
/** Most jobs that are set aside because they could not be removed; with one more, all of them are tried again. */
const MAX_SET_ASIDE = 10_000;
/** Every so many rounds tombstones and space are looked at. */
const ROUNDS_PER_COMPACTION = 12;

export function expiryOf(job: Job, options: RetentionOptions): number {
  const keepMs = Math.min(job.spec.ttl_after_finished ?? Number.POSITIVE_INFINITY, options.keepMs);
  return (job.finishedAtMs ?? job.updatedAtMs) + keepMs;
}

/** Removes ended jobs when their time is over, in the background, until the signal is aborted. */
export async function enforceRetention(
  context: Pick<JobContext, 'clock'>,
  store: JobStore,
  options: RetentionOptions,
  remove: (id: JobId) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  // What cannot be removed now must not stand before what can: it has its next turn when the others have had theirs.
  const setAside = new Set<JobId>();
  const now = unhurried(context.clock);
  for (let round = 1; ; round += 1) {
    await sleep(context.clock, ROUND_MS, signal);
    const nowMs = now();
    const expired = store.expiredJobs(nowMs, options.keepCount, ROUND_SIZE + setAside.size);
    const due = expired.filter((id) => !setAside.has(id));
    if (due.length === 0 || setAside.size > MAX_SET_ASIDE) setAside.clear();
    for (const id of due) {
      const job = store.job(id);
      // A container that cannot be removed now keeps its job.
      if (job !== undefined && hasEnded(job)) await remove(id).catch(() => setAside.add(id));
      signal.throwIfAborted();
    }
    if (round % ROUNDS_PER_COMPACTION === 0) await store.compact(nowMs - options.tombstoneMs);
  }
}

/** The wall clock, which never goes faster than time does: a clock that is set forward ends no job's time early. */
function unhurried(clock: Clock): () => number {
  const startedWallMs = clock.wallMs();
  const startedMs = clock.monotonicMs();
  return () => Math.min(clock.wallMs(), startedWallMs + clock.monotonicMs() - startedMs);
}
