import { describe, expect, it } from 'vitest';
import { JobHarness } from '../../support/job-harness.ts';

describe('a job', () => {
  it('runs until its container exits, and says with which code', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    expect(job.state).toBe('pending');
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 0);
    const ended = await harness.reach(job.id, 'complete');
    expect(ended.outcome).toMatchObject({ reason: 'exited', exitCode: 0 });
    expect(harness.jobs.history(job.id).map((event) => event.type)).toEqual([
      'pending',
      'starting',
      'running',
      'complete',
    ]);
  });

  it('fails with the exit code of its container', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 3);
    const ended = await harness.reach(job.id, 'failed');
    expect(ended.outcome).toMatchObject({ reason: 'exited', exitCode: 3 });
  });

  it('that exits at once is complete, not a failed start', async () => {
    // At once: no reconcile comes in time to find it.
    await using harness = await JobHarness.start({ options: { reconcileIntervalMs: 60_000 } });
    const job = await harness.create({ arguments: ['exit', '0'] });
    const ended = await harness.reach(job.id, 'complete');
    expect(ended.outcome?.exitCode).toBe(0);
  });

  it('is stopped on request', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    expect((await harness.jobs.stop(job.id)).job.state).toBe('stopping');
    const ended = await harness.reach(job.id, 'complete');
    expect(ended.outcome?.reason).toBe('stopped');
  });

  it('is pulled when its image is missing', async () => {
    await using harness = await JobHarness.start();
    harness.fake.addRemoteImage('other', { durationMs: 5 });
    const job = await harness.create({ image: 'other' });
    await harness.reach(job.id, 'running');
    expect(harness.jobs.history(job.id).map((event) => event.type)).toEqual([
      'pending',
      'pulling',
      'starting',
      'running',
    ]);
  });

  it('is retried with a new attempt when the engine fails', async () => {
    const { RuntimeError } = await import('../../../src/runtime/errors.ts');
    await using harness = await JobHarness.start();
    harness.fake.failNext('start', new RuntimeError('engine_error', 'no luck'), 2);
    const job = await harness.create();
    const running = await harness.reach(job.id, 'running');
    expect(running.attempt).toBe(3);
    expect(harness.fake.instances.size).toBe(1);
  });

  it('goes on after a restart of the node', async () => {
    await using first = await JobHarness.start();
    const job = await first.create();
    await first.reach(job.id, 'running');
    await using second = await first.restart();
    expect(second.log.require(job.id).state).toBe('running');
    second.fake.exit(second.instanceId(job.id), 0);
    await second.reach(job.id, 'complete');
    expect(second.fake.calls.create).toBe(1);
  });
});
