import { describe, expect, it } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { fakeEngine, JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

/** Replies that are lost in one run; the full figure is 500. */
const LOST_REPLIES = 500;

describe('an engine that is away', () => {
  it('at the start keeps nobody from submitting; jobs go on when it is back', async () => {
    const driver = fakeEngine();
    driver.setAvailable(false);
    await using harness = await JobHarness.start({ driver });
    const job = await harness.create();
    expect(harness.jobs.get(job.id)).toMatchObject({ isUnknown: true, job: { state: 'pending' } });
    driver.setAvailable(true);
    await harness.reach(job.id, 'running');
    expect(harness.jobs.get(job.id).isUnknown).toBe(false);
  });

  it('at the start is told, and why it is away is always the newest reason', async () => {
    const driver = fakeEngine();
    driver.setAvailable(false);
    await using harness = new JobHarness({ driver });
    const told: boolean[] = [];
    using _subscription = harness.gate.subscribe((isAvailable) => void told.push(isAvailable));
    await harness.gate.look();
    await harness.gate.look();
    expect(told).toEqual([false]);
    harness.gate.reportFailure(new Error('another reason'));
    expect(harness.gate.failure).toBe('another reason');
    driver.setAvailable(true);
    await harness.gate.look();
    expect(told).toEqual([false, true]);
  });

  it('costs no attempt and no second container, wherever it goes', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 8 } });
    const jobs = [];
    for (let index = 0; index < 40; index += 1) {
      jobs.push(await harness.create());
      if (index % 10 !== 5) continue;
      harness.fake.setAvailable(false);
      await expect.poll(() => harness.gate.isAvailable, PATIENCE).toBe(false);
      harness.fake.setAvailable(true);
    }
    for (const job of jobs) expect((await harness.reach(job.id, 'running')).attempt).toBe(1);
    expect(harness.fake.instances.size).toBe(jobs.length);
  });

  it('that exits containers while nobody looks is caught up with', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    const instanceId = harness.instanceId(job.id);
    harness.fake.setAvailable(false);
    harness.fake.exit(instanceId, 7);
    harness.fake.setAvailable(true);
    expect((await harness.reach(job.id, 'failed')).outcome).toMatchObject({ exitCode: 7 });
  });
});

describe('a lost reply', () => {
  it.each(['create', 'start', 'inspect', 'stop'] as const)(
    'of %s leaves exactly one container',
    async (call) => {
      await using harness = await JobHarness.start();
      harness.fake.loseReply(call);
      const job = await harness.create();
      await harness.reach(job.id, 'running');
      await harness.jobs.stop(job.id);
      await harness.reach(job.id, 'complete');
      expect(harness.fake.instances.size).toBe(1);
      expect([...harness.fake.instances.values()][0]?.state).toBe('exited');
    },
  );

  it(
    `of create, ${LOST_REPLIES} times: every container is adopted, none is extra`,
    { timeout: 120_000 },
    async () => {
      await using harness = await JobHarness.start({ options: { workerCount: 16, queueSize: LOST_REPLIES } });
      harness.fake.loseReply('create', LOST_REPLIES);
      const jobs = await Promise.all(Array.from({ length: LOST_REPLIES }, () => harness.create()));
      for (const job of jobs) expect((await harness.reach(job.id, 'running', 60_000)).attempt).toBe(1);
      expect(harness.fake.instances.size).toBe(LOST_REPLIES);
    },
  );
});

describe('lossy events', () => {
  it('delay an exit until the next reconcile, and lose none', { timeout: 60_000 }, async () => {
    const driver = new FakeDriver({ dropEvents: 0.3, seed: 7 });
    driver.addImage(TEST_IMAGE);
    await using harness = await JobHarness.start({ driver });
    const jobs = await Promise.all(Array.from({ length: 100 }, () => harness.create()));
    for (const job of jobs) await harness.reach(job.id, 'running');
    for (const [index, job] of jobs.entries()) {
      if (index % 25 === 24) driver.cutEvents();
      driver.exit(harness.instanceId(job.id), index % 4);
    }
    for (const [index, job] of jobs.entries()) {
      const ended = await harness.until(job.id, (now) => now.finishedAtMs !== undefined, 'its end');
      expect(ended.outcome?.exitCode).toBe(index % 4);
    }
  });
});

describe('an engine that refuses to clean up', () => {
  it('keeps no job from its end; the leftover is reaped when the engine lets it', async () => {
    await using harness = await JobHarness.start();
    const refused = new RuntimeError('engine_error', 'did not receive an exit event');
    harness.fake.failNext('stop', refused, 4);
    const job = await harness.create({
      healthcheck: { test: ['true'] },
      timeouts: { start: 20 },
      retry: { attempts: 1 },
    });
    const failed = await harness.reach(job.id, 'failed');
    expect(failed.outcome?.reason).toBe('not_ready');
    await expect.poll(() => harness.fake.instances.size, PATIENCE).toBe(0);
  });

  it('keeps no cancelled job from its end either', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ healthcheck: { test: ['true'] } });
    await harness.reach(job.id, 'starting');
    harness.fake.failNext('remove', new RuntimeError('engine_error', 'busy'), 3);
    expect((await harness.jobs.cancel(job.id)).job.state).toBe('cancelled');
    await expect.poll(() => harness.fake.instances.size, PATIENCE).toBe(0);
  });
});

describe('a registry that is silent', () => {
  it('is no engine that is away: the attempt fails, and the engine stays available', async () => {
    await using harness = await JobHarness.start();
    const silence = new RuntimeError('timeout', 'pull other: nothing has arrived for 2 m');
    harness.fake.addRemoteImage('other', { error: silence });
    const job = await harness.create({ image: 'other', retry: { attempts: 2, backoff: 1 } });
    const wasAway: boolean[] = [];
    using _subscription = harness.gate.subscribe((isAvailable) => void wasAway.push(!isAvailable));
    const failed = await harness.reach(job.id, 'failed');
    expect(failed).toMatchObject({ attempt: 2, outcome: { reason: 'pull_timeout' } });
    expect(harness.fake.calls.pullImage).toBe(2);
    expect(wasAway).toEqual([]);
  });
});

describe('a shutdown while the engine is away', () => {
  it('does not wait for the jobs that wait for it; they go on at the next start', async () => {
    await using harness = await JobHarness.start();
    harness.fake.setAvailable(false);
    await expect.poll(() => harness.gate.isAvailable, PATIENCE).toBe(false);
    const job = await harness.create();
    await expect.poll(() => harness.jobs.queue().working, PATIENCE).toBe(1);
    await harness.jobs.drain(new AbortController().signal);
    expect(harness.log.require(job.id)).toMatchObject({ state: 'pending', attempt: 1 });
    harness.fake.setAvailable(true);
    await using second = await harness.restart();
    await second.reach(job.id, 'running');
  });
});
