import { expect, it, vi } from 'vitest';
import type { Job } from '../../../src/jobs/job.ts';
import { STEADY_MS } from '../../../src/jobs/supervisor.ts';
import { JobHarness } from '../../support/job-harness.ts';

async function exitAndRestart(harness: JobHarness, id: Job['id']): Promise<Job> {
  harness.fake.exit(harness.instanceId(id), 1);
  await harness.until(id, (now) => now.notBeforeMs !== undefined, 'the restart to be due');
  return harness.until(id, (now) => now.notBeforeMs === undefined, 'the restart');
}

it('a container that was up for long is restarted as often, and as soon, as one that never exited', async () => {
  await using harness = await JobHarness.start();
  const { id } = await harness.create({ restart: { policy: 'always', max_attempts: 1 } });
  await harness.reach(id, 'running');
  expect((await exitAndRestart(harness, id)).restarts).toBe(1);
  const now = Date.now();
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now + STEADY_MS);
  try {
    expect((await exitAndRestart(harness, id)).restarts).toBe(1);
    expect(harness.log.require(id).state).toBe('running');
    // Up for a moment only: this one counts.
    harness.fake.exit(harness.instanceId(id), 1);
    expect((await harness.reach(id, 'failed')).outcome?.reason).toBe('restarts_exhausted');
  } finally {
    clock.mockRestore();
  }
});
