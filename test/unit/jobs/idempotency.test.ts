import { describe, expect, it } from 'vitest';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';

const request = (more: Record<string, unknown> = {}) =>
  jobSpecSchema.parse({ image: TEST_IMAGE, idempotency_key: 'k', ...more });

describe('an idempotency key', () => {
  it('leads to the same job, whatever came between', async () => {
    await using harness = await JobHarness.start();
    const first = await harness.jobs.create(request(), 'alice');
    const again = await harness.jobs.create(request(), 'alice');
    expect(again).toMatchObject({ deduplicated: true, job: { id: first.job.id } });
    await using later = await harness.restart();
    expect(await later.jobs.create(request(), 'alice')).toMatchObject({
      deduplicated: true,
      job: { id: first.job.id },
    });
    await later.reach(first.job.id, 'running');
    expect(later.fake.calls.create).toBe(1);
  });

  it('makes one job of many Creates at once', async () => {
    await using harness = await JobHarness.start();
    const results = await Promise.all(
      Array.from({ length: 30 }, () => harness.jobs.create(request(), 'alice')),
    );
    expect(new Set(results.map((result) => result.job.id)).size).toBe(1);
    expect(results.filter((result) => !result.deduplicated)).toHaveLength(1);
    expect(harness.jobs.queue().waiting + harness.jobs.queue().working).toBeLessThanOrEqual(1);
  });

  it('belongs to its caller', async () => {
    await using harness = await JobHarness.start();
    const alice = await harness.jobs.create(request(), 'alice');
    const bob = await harness.jobs.create(request(), 'bob');
    expect(bob.job.id).not.toBe(alice.job.id);
  });

  it('with another spec is a conflict that names the job', async () => {
    await using harness = await JobHarness.start();
    const { job } = await harness.jobs.create(request(), 'alice');
    await expect(harness.jobs.create(request({ env: { A: '1' } }), 'alice')).rejects.toMatchObject({
      code: 'idempotency_conflict',
      details: { job_id: job.id },
    });
  });

  it('is answered although the queue is full', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 1, queueSize: 1 } });
    harness.jobs.pause();
    const { job } = await harness.jobs.create(request(), 'alice');
    await expect(harness.create()).rejects.toMatchObject({ code: 'queue_full' });
    expect(await harness.jobs.create(request(), 'alice')).toMatchObject({
      deduplicated: true,
      job: { id: job.id },
    });
  });

  it('of a removed job is refused instead of running it again', async () => {
    await using harness = await JobHarness.start();
    const { job } = await harness.jobs.create(request({ arguments: ['exit', '0'] }), 'alice');
    await harness.reach(job.id, 'complete');
    await harness.jobs.remove(job.id);
    await expect(harness.jobs.create(request({ arguments: ['exit', '0'] }), 'alice')).rejects.toMatchObject({
      code: 'idempotency_conflict',
      details: { removed: true },
    });
  });
});
