import { describe, expect, it } from 'vitest';
import type { JobError } from '../../../src/jobs/errors.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

describe('admission', () => {
  it('refuses the job beyond the queue size before any side effect, with limit, depth and when to come again', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 1, queueSize: 1 } });
    using _blocked = harness.fake.hang('create');
    const working = await harness.create();
    await expect.poll(() => harness.jobs.queue().working, PATIENCE).toBe(1);
    const waiting = await harness.create();
    const before = harness.store.lastSeq;
    const refusal = await harness.create().catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: 'queue_full',
      message: 'job queue is full',
      details: { limit: 1, depth: 1 },
    });
    expect((refusal as JobError).retryAfterMs).toBeGreaterThan(0);
    expect(harness.store.lastSeq).toBe(before);
    expect([...harness.log.live()].map((job) => job.id)).toEqual([working.id, waiting.id]);
  });

  it('admits exactly as many at once as there is room', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 2, queueSize: 5 } });
    harness.jobs.pause();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => harness.create()));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(5);
    expect(harness.jobs.queue()).toMatchObject({ waiting: 5, working: 0, isPaused: true });
    harness.jobs.resume();
    for (const result of results) {
      if (result.status === 'fulfilled') await harness.reach(result.value.id, 'running');
    }
  });

  it('runs the higher priority first, and equal ones in their order', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 1 } });
    harness.jobs.pause();
    const names = ['a', 'b', 'c', 'd'];
    const priorities = [0, 5, 0, 5];
    const jobs = [];
    for (const [index, name] of names.entries())
      jobs.push(await harness.create({ name, priority: priorities[index] }));
    const order: string[] = [];
    using _subscription = harness.log.subscribe((event, after) => {
      if (event.type === 'running') order.push(after?.spec.name ?? '');
    });
    harness.jobs.resume();
    for (const job of jobs) await harness.reach(job.id, 'running');
    expect(order).toEqual(['b', 'd', 'a', 'c']);
  });

  it('never lets more run than max_running, and goes on when one ends', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 4, maxRunning: 2 } });
    const jobs = [];
    for (let index = 0; index < 4; index += 1) jobs.push(await harness.create());
    const [first, second, third, fourth] = jobs;
    await harness.reach(first!.id, 'running');
    await harness.reach(second!.id, 'running');
    expect(harness.fake.instances.size).toBe(2);
    expect(harness.jobs.queue()).toMatchObject({ running: 2, waiting: 2, working: 0 });
    harness.fake.exit(harness.instanceId(first!.id), 0);
    await harness.reach(third!.id, 'running');
    expect(harness.log.require(fourth!.id).state).toBe('pending');
  });

  it('refuses what the policy does not allow, naming field, value and setting', async () => {
    await using harness = await JobHarness.start();
    await expect(harness.create({ network: 'host' })).rejects.toMatchObject({
      code: 'policy_denied',
      message: 'network "host" is not allowed (policy.networks allows: none)',
      details: { field: 'network', value: 'host', setting: 'policy.networks' },
    });
    await expect(harness.create({ image: '169.254.169.254/x' })).rejects.toMatchObject({
      code: 'policy_denied',
    });
    await expect(harness.create({ resources: { pids: 101 } })).rejects.toMatchObject({
      code: 'policy_denied',
      message: 'resources.pids 101 is not allowed (policy.max_pids allows: up to 100)',
    });
    await expect(harness.create({ image: 'UPPER' })).rejects.toMatchObject({ code: 'invalid_spec' });
    await expect(harness.create({ ports: [{ container: 80, address: '0.0.0.0' }] })).rejects.toMatchObject({
      code: 'policy_denied',
    });
    expect(harness.store.lastSeq).toBe(0);
  });

  it('gives 50 concurrent jobs on 5 workers unique ids and an end each', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 5 } });
    const jobs = await Promise.all(
      Array.from({ length: 50 }, () => harness.create({ arguments: ['exit', '0'] })),
    );
    expect(new Set(jobs.map((job) => job.id)).size).toBe(50);
    for (const job of jobs) await harness.reach(job.id, 'complete');
    expect(harness.fake.calls.create).toBe(50);
  });
});
