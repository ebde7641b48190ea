import { describe, expect, it } from 'vitest';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { MAX_WAITS } from '../../../src/jobs/wait.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

const LONG_MS = 600_000;

describe('who waits', () => {
  it('with Create, for no longer than the caller is there', async () => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const left = new AbortController();
    const request = jobSpecSchema.parse({ image: TEST_IMAGE, wait_ms: LONG_MS });
    const created = harness.jobs.create(request, 'local', { signal: left.signal });
    await expect.poll(() => harness.jobs.queue().waiting, PATIENCE).toBe(1);
    left.abort();
    expect((await created).job.state).toBe('pending');
  });

  it('with Create, for no longer than the configuration allows', async () => {
    await using harness = await JobHarness.start({ options: { maxWaitMs: 20 } });
    harness.jobs.pause();
    expect(await harness.create({ wait_ms: LONG_MS })).toMatchObject({ state: 'pending' });
  });

  it('with Cancel, for no longer than the caller is there; the job is cancelled all the same', async () => {
    await using harness = await JobHarness.start();
    const left = new AbortController();
    const blocked = harness.fake.hang('create');
    const job = await harness.create();
    await expect.poll(() => harness.jobs.queue().working, PATIENCE).toBe(1);
    const cancelled = harness.jobs.cancel(job.id, { signal: left.signal });
    await harness.until(job.id, (now) => now.desire === 'cancel', 'the wish to be recorded');
    left.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    blocked[Symbol.dispose]();
    await harness.reach(job.id, 'cancelled');
  });

  it('with a forced Remove, for no longer than the caller is there; the job is stopped, and can be removed', async () => {
    await using harness = await JobHarness.start();
    const left = new AbortController();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    const blocked = harness.fake.hang('stop');
    const removed = harness.jobs.remove(job.id, { force: true, signal: left.signal });
    await harness.reach(job.id, 'stopping');
    left.abort();
    await expect(removed).rejects.toMatchObject({ code: 'cancelled' });
    blocked[Symbol.dispose]();
    await harness.reach(job.id, 'complete');
    await harness.jobs.remove(job.id);
    expect(harness.fake.instances.size).toBe(0);
  });

  it(
    `is refused where ${MAX_WAITS} wait already, and has a place when they have gone`,
    { timeout: 60_000 },
    async () => {
      await using harness = await JobHarness.start();
      const ended = await harness.create({ arguments: ['exit', '0'] });
      await harness.reach(ended.id, 'complete');
      harness.jobs.pause();
      const { id } = await harness.create();
      const left = new AbortController();
      const wait = (signal?: AbortSignal) =>
        harness.jobs.wait(id, { until: 'running', ...(signal && { signal }) });
      const waits = Promise.allSettled(Array.from({ length: MAX_WAITS }, () => wait(left.signal)));
      await expect(wait()).rejects.toMatchObject({
        code: 'too_many_waits',
        retryable: true,
        retryAfterMs: 1_000,
      });
      // What needs no waiting is answered all the same.
      expect((await harness.jobs.wait(ended.id, { until: 'ended' })).job.state).toBe('complete');
      expect(await harness.create({ wait_ms: LONG_MS })).toMatchObject({ state: 'pending' });
      left.abort();
      expect((await waits).every((outcome) => outcome.status === 'rejected')).toBe(true);
      const last = wait();
      harness.jobs.resume();
      expect((await last).job.state).toBe('running');
    },
  );
});
