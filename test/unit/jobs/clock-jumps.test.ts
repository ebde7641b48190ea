import { describe, expect, it, vi } from 'vitest';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

const DAY_MS = 86_400_000;

/** The wall clock of this process, moved; timers and the monotonic clock go on as they were. */
function jump(byMs: number): Disposable {
  const real = Date.now.bind(Date);
  const spy = vi.spyOn(Date, 'now').mockImplementation(() => real() + byMs);
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

describe('a wall clock that jumps', () => {
  it('back a day while a restart is due delays it by no more than its backoff', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ restart: { policy: 'always' } });
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 0);
    await harness.until(job.id, (now) => now.notBeforeMs !== undefined, 'the restart to be due');
    using _jump = jump(-DAY_MS);
    const reconciles = harness.fake.calls.list;
    await expect.poll(() => harness.fake.calls.list, PATIENCE).toBeGreaterThan(reconciles + 1);
    await harness.until(job.id, (now) => now.notBeforeMs === undefined, 'the restart');
  });

  it('ahead a day does not end a job that has run for a moment', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ timeouts: { run: '1h' }, restart: { policy: 'always' } });
    await harness.reach(job.id, 'running');
    using _jump = jump(DAY_MS);
    harness.fake.exit(harness.instanceId(job.id), 0);
    await harness.until(job.id, (now) => now.restarts === 1 && now.notBeforeMs === undefined, 'the restart');
    const reconciles = harness.fake.calls.list;
    await expect.poll(() => harness.fake.calls.list, PATIENCE).toBeGreaterThan(reconciles + 1);
    expect(harness.log.require(job.id).state).toBe('running');
  });
});
