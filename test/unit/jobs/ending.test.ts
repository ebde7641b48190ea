import { describe, expect, it, vi } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

describe('Cancel', () => {
  it('ends a waiting job at once', async () => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const job = await harness.create();
    expect((await harness.jobs.cancel(job.id)).job).toMatchObject({
      state: 'cancelled',
      outcome: { reason: 'cancelled' },
    });
    expect(harness.jobs.queue().waiting).toBe(0);
    harness.jobs.resume();
    expect(harness.fake.calls.create).toBe(0);
  });

  it('aborts a pull: the last waiter ends the transfer', async () => {
    await using harness = await JobHarness.start();
    harness.fake.addRemoteImage('slow', { durationMs: 60_000 });
    const job = await harness.create({ image: 'slow' });
    await harness.reach(job.id, 'pulling');
    await expect.poll(() => harness.fake.pullsUnderWay, PATIENCE).toBe(1);
    expect((await harness.jobs.cancel(job.id)).job.state).toBe('cancelled');
    expect(harness.fake.pullsUnderWay).toBe(0);
    await expect.poll(() => harness.jobs.queue().working, PATIENCE).toBe(0);
  });

  it('while starting removes the container before it says cancelled', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ healthcheck: { test: ['true'] } });
    await harness.reach(job.id, 'starting');
    const { job: cancelled } = await harness.jobs.cancel(job.id);
    expect(cancelled.state).toBe('cancelled');
    expect(harness.fake.instances.size).toBe(0);
  });

  it('of a running or ended job is refused with what to use instead', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    await expect(harness.jobs.cancel(job.id)).rejects.toMatchObject({
      code: 'invalid_state',
      message: `job ${job.id} is running and cannot be cancelled; use Stop`,
    });
    await harness.jobs.stop(job.id);
    await harness.reach(job.id, 'complete');
    await expect(harness.jobs.cancel(job.id)).rejects.toMatchObject({ code: 'invalid_state' });
  });

  it(
    'that races the start ends in cancelled with no container, or in a refusal with one',
    { timeout: 120_000 },
    async () => {
      await using harness = await JobHarness.start();
      for (let round = 0; round < 100; round += 1) {
        const job = await harness.create();
        for (let turn = 0; turn < round % 7; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        const outcome = await harness.jobs.cancel(job.id).catch((error: unknown) => error);
        const isCancelled = harness.log.require(job.id).state === 'cancelled';
        const containers = [...harness.fake.instances.values()].filter(
          (view) => view.name === `cm-${job.id}`,
        );
        if (isCancelled) expect(containers).toHaveLength(0);
        else {
          expect(outcome).toMatchObject({ code: 'invalid_state' });
          expect(containers).toHaveLength(1);
        }
      }
    },
  );
});

describe('an end that another node asks for', () => {
  const never = new AbortController().signal;

  it('is asked for as often as it may be, and cuts no stop short', async () => {
    await using harness = await JobHarness.start();
    const stop = vi.spyOn(harness.driver, 'stop');
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    const held = Promise.withResolvers<void>();
    stop.mockImplementation(() => held.promise);
    const how = { hurries: false, graceMs: 60_000 };
    const ends = [harness.jobs.end(job.id, how, never)];
    await harness.reach(job.id, 'stopping');
    ends.push(harness.jobs.end(job.id, how, never));
    await expect.poll(() => stop.mock.calls.length, PATIENCE).toBe(1);
    expect(stop.mock.calls[0]?.[1]).toMatchObject({ graceMs: 60_000 });
    stop.mockRestore();
    held.resolve();
    harness.fake.exit(harness.instanceId(job.id), 0);
    for (const end of ends) expect(await end).toMatchObject({ state: 'complete' });
    expect(await harness.jobs.end(job.id, how, never)).toMatchObject({ state: 'complete' });
    await harness.jobs.remove(job.id);
    expect(await harness.jobs.end(job.id, how, never)).toBeUndefined();
  });
});

describe('Stop', () => {
  it('of a job that does not run is refused with what to use instead', async () => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const job = await harness.create();
    await expect(harness.jobs.stop(job.id)).rejects.toMatchObject({
      code: 'invalid_state',
      message: `job ${job.id} is pending and cannot be stopped; use Cancel`,
    });
  });

  it('is carried out after an outage of the engine', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    harness.fake.setAvailable(false);
    await harness.jobs.stop(job.id);
    expect(harness.jobs.get(job.id)).toMatchObject({ isUnknown: true, job: { state: 'stopping' } });
    harness.fake.setAvailable(true);
    await harness.reach(job.id, 'complete');
  });

  it('is not forgotten over a restart of the node', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    harness.fake.failNext('stop', new RuntimeError('engine_error', 'not now'), 1);
    await harness.jobs.stop(job.id);
    await using second = await harness.restart();
    expect((await second.reach(job.id, 'complete')).outcome?.reason).toBe('stopped');
  });
});

describe('Remove', () => {
  it('takes the ended job and its container, and only these', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ arguments: ['exit', '0'] });
    await harness.reach(job.id, 'complete');
    expect(harness.fake.instances.size).toBe(1);
    await harness.jobs.remove(job.id);
    expect(harness.fake.instances.size).toBe(0);
    expect(() => harness.jobs.get(job.id)).toThrow('job not found');
  });

  it('of a job that has not ended is refused, and with force ends it first', async () => {
    await using harness = await JobHarness.start();
    const running = await harness.create();
    await harness.reach(running.id, 'running');
    await expect(harness.jobs.remove(running.id)).rejects.toMatchObject({ code: 'invalid_state' });
    await harness.jobs.remove(running.id, { force: true });
    harness.jobs.pause();
    const pending = await harness.create();
    await harness.jobs.remove(pending.id, { force: true });
    expect([...harness.log.live()]).toEqual([]);
    expect(harness.fake.instances.size).toBe(0);
  });
});

describe('a forced Remove', () => {
  it('does not wait out the grace period of a stop under way', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ arguments: ['ignore-term'], stop_timeout: '1h' });
    await harness.reach(job.id, 'running');
    await harness.jobs.stop(job.id);
    await harness.jobs.remove(job.id, { force: true });
    expect(harness.fake.instances.size).toBe(0);
  });
});

describe('limits of time', () => {
  it('queue: fails a job that no worker took up', async () => {
    await using harness = await JobHarness.start();
    harness.jobs.pause();
    const job = await harness.create({ timeouts: { queue: 20 } });
    expect((await harness.reach(job.id, 'failed')).outcome?.reason).toBe('queue_timeout');
    expect(harness.jobs.queue().waiting).toBe(0);
  });

  it('pull: fails a job whose image does not arrive', async () => {
    await using harness = await JobHarness.start();
    harness.fake.addRemoteImage('slow', { durationMs: 60_000 });
    const job = await harness.create({ image: 'slow', timeouts: { pull: 20 }, retry: { attempts: 1 } });
    expect((await harness.reach(job.id, 'failed')).outcome?.reason).toBe('pull_timeout');
    expect(harness.fake.pullsUnderWay).toBe(0);
  });

  it('start: fails a job that does not become ready, and leaves nothing running', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({
      healthcheck: { test: ['true'] },
      timeouts: { start: 50 },
      stop_timeout: 0,
      retry: { attempts: 2, backoff: 1 },
    });
    const failed = await harness.reach(job.id, 'failed');
    expect(failed).toMatchObject({ attempt: 2, outcome: { reason: 'not_ready' } });
    expect([...harness.fake.instances.values()].map((view) => view.state)).toEqual(['exited']);
  });

  it('run: stops a job that runs too long, and says so', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ timeouts: { run: 30 } });
    const failed = await harness.reach(job.id, 'failed');
    expect(failed.outcome).toMatchObject({ reason: 'run_timeout', retryable: true });
    expect(harness.jobs.history(job.id).map((event) => event.type)).toEqual([
      'pending',
      'starting',
      'running',
      'stopping',
      'failed',
    ]);
  });
});

describe('restart', () => {
  it('on-failure starts the same container again, counted, and gives up at the limit', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ restart: { policy: 'on-failure', max_attempts: 1 } });
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 9);
    const restarted = await harness.until(
      job.id,
      (now) => now.restarts === 1 && now.notBeforeMs === undefined,
      'a restart',
    );
    expect(restarted.state).toBe('running');
    harness.fake.exit(harness.instanceId(job.id), 9);
    const failed = await harness.reach(job.id, 'failed');
    expect(failed.outcome).toMatchObject({ reason: 'restarts_exhausted', exitCode: 9 });
    expect(harness.fake.calls.create).toBe(1);
  });

  it('on-failure leaves a success alone', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ restart: { policy: 'on-failure' } });
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 0);
    await harness.reach(job.id, 'complete');
  });

  it('can be stopped while it waits to start again', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create({ restart: { policy: 'always' } });
    await harness.reach(job.id, 'running');
    harness.fake.exit(harness.instanceId(job.id), 0);
    await harness.until(job.id, (now) => now.notBeforeMs !== undefined, 'the restart to be due');
    await harness.jobs.stop(job.id);
    expect((await harness.reach(job.id, 'complete')).outcome?.reason).toBe('stopped');
  });
});
