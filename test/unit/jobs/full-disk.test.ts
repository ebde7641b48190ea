import { expect, it } from 'vitest';
import type { Job } from '../../../src/jobs/job.ts';
import { JobHarness } from '../../support/job-harness.ts';

/** As SQLite reports it. */
const full = (): Error => Object.assign(new Error('database or disk is full'), { errcode: 13 });

it('a full disk refuses what clients ask for, and keeps only what has happened waiting', async () => {
  await using harness = await JobHarness.start({ options: { reconcileIntervalMs: 60_000 } });
  const running = await harness.create();
  await harness.reach(running.id, 'running');
  const ended = await harness.create({ arguments: ['exit', '0'] });
  await harness.reach(ended.id, 'complete');
  harness.jobs.pause();
  const waiting = await harness.create();

  let isFull = true;
  const happened: Promise<Job> = harness.log.change(running.id, () => {
    if (isFull) throw full();
    return { note: 'recorded once there was space' };
  });
  const refusal = { code: 'store_full', retryable: true, retryAfterMs: 5_000 };
  await expect(harness.jobs.stop(running.id)).rejects.toMatchObject(refusal);
  await expect(harness.jobs.cancel(waiting.id)).rejects.toMatchObject(refusal);
  await expect(harness.jobs.remove(ended.id)).rejects.toMatchObject(refusal);
  await expect(harness.jobs.remove(waiting.id, { force: true })).rejects.toMatchObject(refusal);
  expect(harness.log.require(running.id)).toMatchObject({ state: 'running', desire: 'run' });

  isFull = false;
  await happened;
  await harness.jobs.stop(running.id);
  await harness.reach(running.id, 'complete');
  expect((await harness.jobs.cancel(waiting.id)).job.state).toBe('cancelled');
  await harness.jobs.remove(ended.id);
  expect(harness.log.get(ended.id)).toBeUndefined();
});
