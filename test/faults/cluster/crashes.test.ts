import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RpcFailure } from '../../support/node-process.ts';
import { listJobs, type Member, untilEqual } from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB, SHORT_JOB } from '../../support/fake-engine-cluster.ts';
import { figure, IS_FULL } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type SeededRandom, seededRandom } from '../support/seed.ts';
import { EQUAL_AT_WORST_MS, expectRecovery, untilSettled } from './support.ts';

const CLIENTS_PER_NODE = 2;
const LOAD_MS = 2_500;

let engine: FakeEngineCluster;
beforeEach(async () => {
  engine = await FakeEngineCluster.make();
});
afterEach(() => engine[Symbol.asyncDispose]());

/** Clients that make jobs on every node, and write down what was acknowledged. */
class Load {
  /** The owner of each. */
  readonly acknowledged = new Map<string, Member>();
  /** Those that were to be stopped: before they ran, for all that is known. */
  readonly stopped = new Set<string>();
  readonly #stop = new AbortController();
  readonly #clients: Promise<void>[];

  constructor(members: readonly Member[], random: SeededRandom) {
    const clients = members.flatMap((member) => Array.from({ length: CLIENTS_PER_NODE }, () => member));
    this.#clients = clients.map((member) => this.#run(member, random));
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#clients);
  }

  async #run(member: Member, random: SeededRandom): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const id = await create(member, random.next() < 0.9 ? SHORT_JOB : LONG_JOB);
        this.acknowledged.set(id, member);
        if (random.next() < 0.2) {
          this.stopped.add(id);
          await member.rpc('ContainerService.Stop', { job_id: id });
        }
      } catch (error) {
        // It is down, or the job has ended before it could be stopped.
        if (!(error instanceof RpcFailure) && member.isUp) await delay(20);
      }
      await delay(random.int(5, 60));
    }
  }
}

/** Once all have ended: all that was acknowledged was carried out, is known so everywhere, and has one container at most. */
async function expectNothingLost(members: readonly Member[], load: Load): Promise<void> {
  for (const member of members) {
    const known = new Map(
      (await listJobs(member.home.port, { all_nodes: true })).map((job) => [job.job_id, job]),
    );
    const wrong = [...load.acknowledged].filter(([id, { id: owner }]) => {
      const job = known.get(id);
      const isDone = job?.status === 'complete' || (job?.status === 'cancelled' && load.stopped.has(id));
      return !isDone || job.owner !== owner;
    });
    expect(wrong.map(([id]) => known.get(id) ?? id)).toEqual([]);
  }
  expect(engine.duplicates()).toEqual([]);
}

/** Once more, and nothing else is going on: what changes all the time is never the same everywhere. */
async function expectKillRecovery(what: string, members: readonly Member[]): Promise<void> {
  const [victim, ...others] = members as [Member, ...Member[]];
  await create(victim, LONG_JOB);
  await victim.node.kill();
  await Promise.all(others.map((member) => create(member, LONG_JOB)));
  await victim.start();
  await expectRecovery(what, members);
  await untilSettled(members);
}

describe.each([
  [3, figure(3, 60)],
  [10, figure(1, 40)],
])('%i nodes under load', (count, kills) => {
  test(
    `${kills} times kill -9 of a random one, and its start`,
    async () => {
      const random = seededRandom(`kill -9, ${count} nodes`);
      const members = await engine.start(count);
      const load = new Load(members, random);
      for (let kill = 0; kill < kills; kill += 1) {
        const victim = random.pick(members);
        await delay(random.int(0, 300));
        await victim.node.kill();
        await delay(random.int(0, 500));
        await victim.start();
      }
      await load.stop();
      await untilSettled(members);
      await expectNothingLost(members, load);
      expect(load.acknowledged.size).toBeGreaterThan(kills);
      await expectKillRecovery(`${count} nodes, ${load.acknowledged.size} jobs`, members);
    },
    figure(120_000, 900_000),
  );
});

test(
  'all at once: a cluster that lost its power',
  async () => {
    const random = seededRandom('kill -9 of all');
    const members = await engine.start(3);
    for (let round = 0; round < figure(1, 10); round += 1) {
      const load = new Load(members, random);
      await delay(500);
      await Promise.all(members.map(({ node }) => node.kill()));
      await load.stop();
      await Promise.all(members.map((member) => member.start()));
      await expectRecovery('after the power is back', members);
      await untilSettled(members);
      await expectNothingLost(members, load);
    }
  },
  figure(60_000, 600_000),
);

test.each(IS_FULL ? [3_000, 25_000, 60_000, 120_000] : [3_000])(
  'a node that stands still for %i ms does nothing twice, and hears what it missed',
  async (pauseMs) => {
    const random = seededRandom('SIGSTOP');
    const members = await engine.start(3);
    const [paused, ...others] = members as [Member, Member, Member];
    const load = new Load(others, random);
    for (let count = 0; count < 10; count += 1) await create(paused);
    await paused.node.hang();
    // No longer: to compare many thousand jobs takes longer than what is measured.
    await delay(LOAD_MS);
    await load.stop();
    await delay(pauseMs - LOAD_MS);
    if (pauseMs > 25_000) {
      const [one] = await listJobs(others[0].home.port, { owner: paused.id, all_nodes: true });
      expect(one).toMatchObject({ lost: true });
    }
    paused.node.resume();
    await expectRecovery(`paused for ${pauseMs} ms`, members);
    await untilSettled(members);
    await expectNothingLost(members, load);
    const [one] = await listJobs(others[0].home.port, { owner: paused.id, all_nodes: true });
    expect(one).not.toHaveProperty('lost');
  },
  figure(60_000, 300_000),
);

const BEFORE = figure(1_000, 10_000);
test(
  `who joins after ${BEFORE} jobs knows them all within 10 s`,
  async () => {
    const members = await engine.start(2);
    const [one, two] = members as [Member, Member];
    await one.rpc('QueueService.Pause', {});
    await two.rpc('QueueService.Pause', {});
    for (let made = 0; made < BEFORE; made += 50)
      await Promise.all(Array.from({ length: 50 }, (_, index) => create(index % 2 === 0 ? one : two)));
    await untilEqual(members, EQUAL_AT_WORST_MS);
    const late = await engine.cluster.add();
    const startedMs = performance.now();
    await late.start();
    const readyMs = performance.now() - startedMs;
    // To compare all of them on all nodes takes longer than to fetch them.
    await waitFor('all jobs to be known', EQUAL_AT_WORST_MS, async () =>
      late.metric('container_manager_mirrored_jobs').then((count) => count >= BEFORE),
    );
    const completeMs = performance.now() - startedMs;
    console.log(
      `joined after ${BEFORE} jobs: ready ${Math.round(readyMs)} ms, whole ${Math.round(completeMs)} ms`,
    );
    expect(completeMs).toBeLessThan(10_000);
    await untilEqual([...members, late], EQUAL_AT_WORST_MS);
    expect(await listJobs(late.home.port, { all_nodes: true })).toHaveLength(BEFORE);
  },
  figure(120_000, 600_000),
);
