import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InstanceId, JobId } from '../../../src/kernel/ids.ts';
import { markOf } from '../../../src/jobs/instance-labels.ts';
import { hasEnded, JOB_STATES, type JobEvent, type JobState } from '../../../src/jobs/job.ts';
import type { FakeDriver } from '../../support/fake-driver.ts';
import { HURRIED_CLOCK } from '../../support/hurried-clock.ts';
import { fakeEngine, JobHarness, type HarnessOptions } from '../../support/job-harness.ts';
import { seededRandom } from '../../support/seeded-random.ts';

/** Runs in the ordinary tests, and how many things happen in each. */
const RUNS = Number(process.env['SIMULATION_RUNS'] ?? 25);
const STEPS = 60;
/** Far more than anything takes to come to its end here. */
const SETTLED_WITHIN_MS = 60_000;
const FIRST_SEED = Number(process.env['SIMULATION_SEED'] ?? 1);

const OPTIONS: HarnessOptions = {
  clock: HURRIED_CLOCK,
  options: { workerCount: 3, queueSize: 20, reapGraceMs: 20, reconcileIntervalMs: 10 },
  defaults: { retryBackoffMs: 1, stopTimeoutMs: 5 },
};

/** Users, containers and a bad engine do what they like, in an order that the seed decides. */
class World {
  readonly #random: () => number;
  readonly #driver: FakeDriver = fakeEngine();
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-simulation-'));
  readonly #acknowledged = new Set<JobId>();
  readonly #events: JobEvent[] = [];
  /** How often each container was really started. */
  readonly #starts = new Map<InstanceId, number>();
  #harness: JobHarness | undefined;
  #isAway = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#driver.addRemoteImage('remote', { durationMs: 2 });
    const start = this.#driver.start.bind(this.#driver);
    this.#driver.start = (id) => {
      const isStart = this.#driver.instances.get(id)?.state !== 'running';
      if (isStart && !this.#isAway) this.#starts.set(id, (this.#starts.get(id) ?? 0) + 1);
      return start(id);
    };
  }

  async run(): Promise<void> {
    await this.#start();
    for (let step = 0; step < STEPS; step += 1) {
      await this.#act();
      for (let turns = this.#below(4); turns > 0; turns -= 1) await turn();
    }
    await this.#settle();
    this.#check();
    await this.#stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #node(): JobHarness {
    if (this.#harness === undefined) throw new Error('the node is down');
    return this.#harness;
  }

  async #start(): Promise<void> {
    this.#harness = new JobHarness({ ...OPTIONS, driver: this.#driver, directory: this.#directory });
    this.#harness.log.subscribe((event) => void this.#events.push(event));
    await this.#harness.jobs.start();
  }

  async #stop(): Promise<void> {
    await this.#harness?.[Symbol.asyncDispose]();
    this.#harness = undefined;
  }

  async #act(): Promise<void> {
    const deeds: readonly (() => unknown)[] = [
      () => this.#create(),
      () => this.#create(),
      () => this.#create(),
      () => this.#request((id) => this.#node.jobs.cancel(id)),
      () => this.#request((id) => this.#node.jobs.stop(id)),
      () => this.#request((id) => this.#node.jobs.remove(id, { force: this.#random() < 0.5 })),
      () => this.#exitSomething(),
      () => this.#exitSomething(),
      () => this.#setAway(!this.#isAway),
      () => this.#driver.loseReply(this.#pick(['create', 'start', 'stop', 'inspect', 'remove'] as const)),
      () => this.#driver.cutEvents(),
      () => this.#restart(),
    ];
    await this.#pick(deeds)();
  }

  async #create(): Promise<void> {
    const spec = this.#pick([
      {},
      { arguments: ['exit', '0'] },
      { arguments: ['exit', '3'] },
      { image: 'remote' },
      { image: 'missing' },
      { arguments: ['missing'] },
      { restart: { policy: 'on-failure', max_attempts: 2 }, arguments: ['exit', '1'] },
    ]);
    const created = this.#node.create({ ...spec, retry: { attempts: 2, backoff: 1 } });
    const job = await created.catch((error: { code?: string }) => expect(error.code).toBe('queue_full'));
    if (job !== undefined) this.#acknowledged.add(job.id);
  }

  /** Asked and not waited for, as a client that goes away would. */
  #request(ask: (id: JobId) => Promise<unknown>): void {
    const ids = [...this.#acknowledged];
    if (ids.length > 0) ask(this.#pick(ids)).catch(() => undefined);
  }

  #exitSomething(): void {
    const running = [...this.#driver.instances.values()].filter((view) => view.state === 'running');
    if (running.length > 0) this.#driver.exit(this.#pick(running).id, this.#below(2));
  }

  #setAway(isAway: boolean): void {
    this.#isAway = isAway;
    this.#driver.setAvailable(!isAway);
  }

  async #restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  /** Everything is asked to end, and the engine is well again: nothing may stay in between for good. */
  async #settle(): Promise<void> {
    this.#setAway(false);
    await this.#node.gate.whenAvailable(AbortSignal.timeout(SETTLED_WITHIN_MS));
    const timeoutMs = SETTLED_WITHIN_MS;
    for (const job of [...this.#node.log.live()]) {
      await this.#node.jobs.wait(job.id, { until: 'running', timeoutMs }).catch(ignoreRemoved);
      await this.#node.jobs.stop(job.id).catch(() => undefined);
      await this.#node.jobs.wait(job.id, { until: 'ended', timeoutMs }).catch(ignoreRemoved);
    }
    await expect.poll(() => this.#leftovers(), { timeout: timeoutMs, interval: 5 }).toEqual([]);
  }

  /** Containers that run for an ended job, or belong to one that was removed or cancelled. */
  #leftovers(): string[] {
    return [...this.#driver.instances.values()].flatMap((view) => {
      const id = markOf(view.labels)?.job;
      const job = id === undefined ? undefined : this.#node.log.get(id);
      const isFine = job !== undefined && job.state !== 'cancelled' && view.state !== 'running';
      return isFine ? [] : [`${view.name} ${view.state} ${job?.state}`];
    });
  }

  #check(): void {
    expect(this.#node.log.live().next().done).toBe(true);
    for (const id of this.#acknowledged) {
      const job = this.#node.log.get(id);
      if (job === undefined) expect(this.#node.store.tombstone(id)).toBeDefined();
      else expect(hasEnded(job)).toBe(true);
    }
    const jobsOfContainers = [...this.#driver.instances.values()].map((view) => markOf(view.labels)?.job);
    expect(new Set(jobsOfContainers).size).toBe(jobsOfContainers.length);
    for (const view of this.#driver.instances.values()) {
      const id = markOf(view.labels)?.job;
      const job = id === undefined ? undefined : this.#node.log.get(id);
      expect(this.#starts.get(view.id) ?? 0).toBeLessThanOrEqual(1 + (job?.restarts ?? 0));
    }
    this.#checkOrder();
  }

  /** Seen from outside, a job only moves forward: by attempt, and by state within it. */
  #checkOrder(): void {
    const rank = Object.keys(JOB_STATES) as JobState[];
    const placeOf = (event: JobEvent): number => {
      if (event.type === 'removed') return Number.POSITIVE_INFINITY;
      return event.attempt * 100 + Math.min(rank.indexOf(event.type), rank.indexOf('complete'));
    };
    const places = new Map<JobId, number>();
    let seq = 0;
    for (const event of this.#events) {
      expect(event.seq).toBe((seq += 1));
      const place = placeOf(event);
      expect(place).toBeGreaterThanOrEqual(places.get(event.jobId) ?? 0);
      places.set(event.jobId, place);
    }
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)] as T;
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function ignoreRemoved(error: { code?: string }): void {
  if (error.code !== 'not_found') throw error;
}

describe('whatever happens in whatever order', () => {
  const seeds = Array.from({ length: RUNS }, (_run, index) => FIRST_SEED + index);
  it.each(seeds)(
    'every job ends, none runs twice, nothing is left (seed %i)',
    { timeout: 2 * SETTLED_WITHIN_MS },
    async (seed) => {
      await new World(seed).run();
    },
  );
});
