import { expect, it, vi } from 'vitest';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

it('a container that has exited since the list was made keeps its logs', async () => {
  await using harness = await JobHarness.start({
    options: { reapGraceMs: 0, reconcileIntervalMs: 50 },
  });
  const job = await harness.create();
  await harness.reach(job.id, 'running');
  const id = harness.instanceId(job.id);
  const running = await harness.fake.list({});
  harness.fake.exit(id, 3);
  await harness.reach(job.id, 'failed');
  // As an engine does that made its list before the exit.
  const list = vi.spyOn(harness.driver, 'list').mockResolvedValue(running);
  await expect.poll(() => list.mock.calls.length, PATIENCE).toBeGreaterThan(3);
  expect(harness.fake.instances.get(id)?.state).toBe('exited');
});
