import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/kernel/clock.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { ROUND_SIZE, enforceRetention } from '../../../src/jobs/retention.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

const OPTIONS = { keepCount: 0, keepMs: 3_600_000, tombstoneMs: 3_600_000 };
/** Rounds follow one another without a pause. */
const HURRIED: Clock = { ...systemClock, after: (_delayMs, action) => systemClock.after(1, action) };

describe('retention', () => {
  it('goes on past what cannot be removed, and comes back to it', { timeout: 120_000 }, async () => {
    await using harness = await JobHarness.start({ options: { queueSize: 2 * ROUND_SIZE } });
    harness.jobs.pause();
    const jobs = await Promise.all(Array.from({ length: ROUND_SIZE + 1 }, () => harness.create()));
    for (const { id } of jobs) await harness.jobs.cancel(id);
    const stuck = new Set(harness.store.expiredJobs(0, 0, ROUND_SIZE));
    const tries = new Map<string, number>();
    let isMended = false;
    const stop = new AbortController();
    const rounds = enforceRetention(
      { clock: HURRIED },
      harness.store,
      OPTIONS,
      async (id) => {
        tries.set(id, (tries.get(id) ?? 0) + 1);
        if (stuck.has(id) && !isMended) throw new RuntimeError('engine_error', 'device is busy');
        await harness.log.remove(id);
      },
      stop.signal,
    );
    await expect.poll(() => harness.store.jobs({ limit: 1_000 }), PATIENCE).toHaveLength(ROUND_SIZE);
    await expect
      .poll(() => Math.min(...[...stuck].map((id) => tries.get(id) ?? 0)), PATIENCE)
      .toBeGreaterThan(1);
    isMended = true;
    await expect.poll(() => harness.store.jobs({ limit: 1_000 }), PATIENCE).toEqual([]);
    stop.abort(new Error('enough'));
    await expect(rounds).rejects.toThrow('enough');
  });

  it('ends no job early when the clock is set forward', async () => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const { id } = await harness.create();
    await harness.jobs.cancel(id);
    let setMs = 0;
    let rounds = 0;
    const clock: Clock = {
      ...HURRIED,
      wallMs: () => systemClock.wallMs() + setMs,
      after: (delayMs, action) => {
        rounds += 1;
        return HURRIED.after(delayMs, action);
      },
    };
    const stop = new AbortController();
    const options = { ...OPTIONS, keepCount: 10 };
    const remove = (job: typeof id): Promise<void> => harness.log.remove(job);
    const enforced = enforceRetention({ clock }, harness.store, options, remove, stop.signal);
    setMs = 400 * 86_400_000;
    await expect.poll(() => rounds, PATIENCE).toBeGreaterThan(20);
    expect(harness.log.get(id)?.state).toBe('cancelled');
    stop.abort(new Error('enough'));
    await expect(enforced).rejects.toThrow('enough');
    // One that starts by that clock cannot know better.
    const again = new AbortController();
    const later = enforceRetention({ clock }, harness.store, options, remove, again.signal);
    await expect.poll(() => harness.log.get(id), PATIENCE).toBeUndefined();
    again.abort(new Error('enough'));
    await expect(later).rejects.toThrow('enough');
  });

  it.each([
    ['was cancelled while it waited', {}, 'cancelled'],
    ['found no worker', { timeouts: { queue: 1 } }, 'failed'],
  ] as const)('removes a job that %s without the engine', async (_what, spec, state) => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const { id } = await harness.create(spec);
    if (state === 'cancelled') await harness.jobs.cancel(id);
    await harness.reach(id, state);
    harness.fake.setAvailable(false);
    await harness.jobs.remove(id);
    expect(harness.log.get(id)).toBeUndefined();
  });
});
