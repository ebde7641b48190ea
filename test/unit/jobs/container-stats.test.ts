import { describe, expect, it } from 'vitest';
import { ContainerSampler } from '../../../src/jobs/job-telemetry.ts';
import { STATS_CONCURRENCY } from '../../../src/jobs/container-stats.ts';
import type { InstanceStats } from '../../../src/runtime/driver.ts';
import type { InstanceId } from '../../../src/kernel/ids.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { fakeEngine, JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

/** An engine that measures when it is told to. */
class SlowDriver extends FakeDriver {
  measuring = 0;
  mostMeasuring = 0;
  readonly #mayAnswer = Promise.withResolvers<void>();
  readonly signals: (AbortSignal | undefined)[] = [];

  answer(): void {
    this.#mayAnswer.resolve();
  }

  override async stats(id: InstanceId, signal?: AbortSignal): Promise<InstanceStats | undefined> {
    this.signals.push(signal);
    this.measuring += 1;
    this.mostMeasuring = Math.max(this.mostMeasuring, this.measuring);
    await this.#mayAnswer.promise;
    this.measuring -= 1;
    return super.stats(id, signal);
  }
}

async function running(count: number, driver: FakeDriver): Promise<JobHarness> {
  driver.addImage(TEST_IMAGE);
  const harness = await JobHarness.start({ driver, options: { workerCount: 16 } });
  const jobs = await Promise.all(Array.from({ length: count }, () => harness.create()));
  for (const job of jobs) await harness.reach(job.id, 'running');
  return harness;
}

describe('stats', () => {
  it('of all containers are sampled once for all who ask at the same time, not too many at once', async () => {
    const driver = new SlowDriver();
    const count = STATS_CONCURRENCY + 8;
    await using harness = await running(count, driver);
    const all = Promise.all(Array.from({ length: 5 }, () => harness.jobs.stats()));
    const single = [...harness.log.live()].map((job) => harness.jobs.stats(job.id));
    await expect.poll(() => driver.measuring, PATIENCE).toBe(STATS_CONCURRENCY);
    driver.answer();
    for (const samples of await all) expect(samples).toHaveLength(count);
    for (const samples of await Promise.all(single)) expect(samples).toHaveLength(1);
    expect(driver.mostMeasuring).toBe(STATS_CONCURRENCY);
    expect(driver.calls.stats).toBe(2 * count);
  });

  it('are given up when the last who asked has left', async () => {
    const driver = new SlowDriver();
    await using harness = await running(2, driver);
    const [first, second] = [new AbortController(), new AbortController()];
    const samplings = [first, second].map(({ signal }) =>
      harness.jobs.stats(undefined, signal).catch((error: unknown) => error),
    );
    await expect.poll(() => driver.measuring, PATIENCE).toBe(2);
    first.abort(new Error('left'));
    expect(await samplings[0]).toBe(first.signal.reason);
    expect(driver.signals.map((signal) => signal?.aborted)).toEqual([false, false]);
    second.abort(new Error('left too'));
    expect(await samplings[1]).toBe(second.signal.reason);
    expect(driver.signals.map((signal) => signal?.aborted)).toEqual([true, true]);
    driver.answer();
  });

  it('ask nothing of an engine that is away', async () => {
    const driver = fakeEngine();
    await using harness = await running(3, driver);
    harness.fake.setAvailable(false);
    await expect.poll(() => harness.gate.isAvailable, PATIENCE).toBe(false);
    await expect(harness.jobs.stats()).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(driver.calls.stats).toBe(0);
  });

  it('do not keep the page of metrics waiting: the next one has them', async () => {
    const driver = new SlowDriver();
    await using harness = await running(1, driver);
    const metrics = new Metrics({ version: '1', methods: [], withProcess: false });
    const sampler = new ContainerSampler({ jobs: harness.jobs, telemetry: metrics });
    metrics.watch({
      queue: () => harness.jobs.queue(),
      jobsByState: () => harness.jobs.countByState(),
      sampleContainers: () => sampler.refresh(),
    });
    for (let look = 0; look < 3; look += 1)
      expect((await metrics.render()).text).not.toContain('container_cpus{');
    expect(driver.measuring).toBe(1);
    driver.answer();
    await expect.poll(async () => (await metrics.render()).text, PATIENCE).toContain('container_cpus{');
  });
});
