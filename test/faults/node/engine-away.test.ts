import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CreateParams, JobView } from '../../../src/api/wire.ts';
import { buildTestImage, TEST_IMAGE } from '../../support/docker.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';
import { PrivateEngine } from '../../support/private-engine.ts';
import { waitFor } from '../../support/wait-for.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineRelay } from './support/engine-relay.ts';
import { listJobs } from './support/verdict.ts';

const RESTARTS = figure(2, 50);
const HANGS = figure(1, 20);
const HANG_MS = figure(8_000, 60_000);
/** Of one call; a hung engine is noticed within it. A slow disk must not make one that works look hung. */
const CALL_TIMEOUT_MS = 6_000;
const TIMEOUT_MS = figure(600_000, 5_400_000);
/** From when the engine answers again: as promised; the short share shows what happens, on any machine, not how fast. */
const RECONCILED_WITHIN_MS = figure(60_000, 10_000);
/** For whatever else follows when the engine is back. */
const SETTLED_WITHIN_MS = 60_000;
const MAX_KNOCKS_PER_SECOND = 1;
/** What is in hand when the engine goes may find out for itself; from then on one asks for all. */
const IN_HAND_MS = 3_000;
const MAX_KNOCKS_IN_HAND = 20;
/** The first outage of each engine lasts at least so long beyond that, so that there is something to be seen. */
const WATCHED_MS = 3_000;

const LONG = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

let bundle: DaemonBundle;
beforeAll(async () => {
  bundle = await DaemonBundle.make();
});
afterAll(() => bundle[Symbol.dispose]());

/** A node, an engine of its own, and the relay between them. */
class Scene implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly engine: PrivateEngine;
  readonly relay: EngineRelay;
  readonly home: NodeHome;
  readonly node: NodeProcess;
  readonly jobIds: string[] = [];

  private constructor(parts: Pick<Scene, 'engine' | 'relay' | 'home' | 'node'>, stack: AsyncDisposableStack) {
    this.#stack = stack;
    ({ engine: this.engine, relay: this.relay, home: this.home, node: this.node } = parts);
  }

  static async set(liveRestore: boolean): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const engine = stack.use(await PrivateEngine.start({ liveRestore }));
    await buildTestImage(engine.docker);
    const relay = stack.use(await EngineRelay.start(engine.socketPath));
    const settings = {
      'docker.host': relay.host,
      'docker.call_timeout': `${CALL_TIMEOUT_MS}ms`,
      'docker.network': 'none',
      worker_count: 4,
      reap_grace: '2s',
      reconcile_interval: '5s',
      'defaults.stop_timeout': '2s',
    };
    const home = stack.use(await NodeHome.create({ program: bundle.program, settings }));
    const node = await home.start();
    stack.defer(() => node.kill());
    return new Scene({ engine, relay, home, node }, stack.move());
  }

  async create(script: string, extra: Partial<CreateParams> = {}): Promise<string> {
    const spec = { image: TEST_IMAGE, arguments: ['sh', '-c', script], ...extra };
    const { job_id } = await this.node.rpc('ContainerService.Create', spec);
    this.jobIds.push(job_id);
    return job_id;
  }

  async running(script: string, extra: Partial<CreateParams> = {}): Promise<string> {
    const id = await this.create(script, extra);
    await this.node.rpc('JobService.Wait', { job_id: id, until: 'running' });
    return id;
  }

  async get(id: string): Promise<JobView> {
    return this.node.rpc('JobService.Get', { job_id: id });
  }

  /** Whatever differs between what the jobs say and what the engine has. */
  async differences(): Promise<string[]> {
    const jobs = await listJobs(this.node);
    const containers = await this.home.containers(this.engine.docker);
    const byJob = new Map<string, string[]>();
    for (const { Id, Labels } of containers) {
      const job = Labels['container-manager.job'] ?? '';
      byJob.set(job, [...(byJob.get(job) ?? []), Id]);
    }
    const found: string[] = [];
    for (const job of jobs) {
      // A worker has it in hand; it is looked at once all have ended.
      if (['pending', 'pulling', 'starting'].includes(job.status)) continue;
      const ids = byJob.get(job.job_id) ?? [];
      if (ids.length > 1) found.push(`${job.job_id} has ${ids.length} containers`);
      const difference = await this.#compare(job, ids[0]);
      if (difference !== undefined) found.push(`${job.job_id} ${difference}`);
    }
    return found;
  }

  async #compare(job: JobView, containerId: string | undefined): Promise<string | undefined> {
    if (job.observation !== undefined) return `is ${job.observation}`;
    if (containerId === undefined) {
      return ['cancelled', 'pending'].includes(job.status)
        ? undefined
        : `is ${job.status} without a container`;
    }
    const { State } = await this.engine.docker.getContainer(containerId).inspect();
    if (job.status === 'running' && job.not_before === undefined) {
      return State.Running ? undefined : 'runs, its container does not';
    }
    if (job.exit_code === undefined && ['complete', 'failed'].includes(job.status)) return undefined;
    if (!['complete', 'failed'].includes(job.status)) return `is ${job.status}`;
    if (State.Running) return `is ${job.status}, its container runs`;
    return State.ExitCode === job.exit_code
      ? undefined
      : `exited ${job.exit_code}, the engine says ${State.ExitCode}`;
  }

  async untilUnknown(id: string): Promise<void> {
    await waitFor('the node to see that the engine is away', SETTLED_WITHIN_MS, async () => {
      return (await this.node.get('/ready')).status === 503;
    });
    const ready = JSON.parse((await this.node.get('/ready')).text) as { problems: Record<string, string> };
    expect(ready.problems['docker']).toMatch(/engine|socket|connect|answer/i);
    expect(await this.get(id)).toMatchObject({ observation: 'unknown' });
  }

  /** Resolves when the engine has been away for long enough to see who asks whether it is back. */
  async untilWatched(): Promise<void> {
    const [first = performance.now()] = this.relay.knocks;
    await delay(Math.max(0, first + IN_HAND_MS + WATCHED_MS - performance.now()));
  }

  /** Resolves when every job reads as its container does. */
  async untilReconciled(): Promise<number> {
    let found: string[] = [];
    const compare = async (): Promise<boolean> => {
      found = await this.differences().catch((error: Error) => [error.message]);
      return found.length === 0;
    };
    return waitFor('jobs and engine to agree', RECONCILED_WITHIN_MS, compare).catch((error: Error) => {
      throw new Error(`${error.message}: ${found.join('; ')}\n${this.home.log().slice(-6_000)}`);
    });
  }

  /** The job at its end. */
  async ended(id: string): Promise<JobView> {
    const params = { job_id: id, timeout_ms: SETTLED_WITHIN_MS };
    return this.node.rpc('JobService.Wait', params, 2 * SETTLED_WITHIN_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The connections made in vain by what was in hand when the engine went, and those made later. */
function partKnocks(outage: readonly number[]): { inHand: number[]; later: number[] } {
  const endMs = (outage[0] ?? 0) + IN_HAND_MS;
  return { inHand: outage.filter((at) => at <= endMs), later: outage.filter((at) => at > endMs) };
}

/** How many of them fall within any second, at worst. */
function worstSecond(knocks: readonly number[]): number {
  return Math.max(0, ...knocks.map((from) => knocks.filter((at) => at >= from && at < from + 1_000).length));
}

describe.each([
  { liveRestore: true, restarts: Math.ceil(RESTARTS / 2) },
  { liveRestore: false, restarts: Math.floor(RESTARTS / 2) },
])('the engine is restarted, live restore $liveRestore', ({ liveRestore, restarts }) => {
  test(
    `${restarts} times, by SIGTERM and SIGKILL in turn, with jobs in every state`,
    async () => {
      await using scene = await Scene.set(liveRestore);
      const random = seededRandom(`engine restarts, live restore ${liveRestore}`);
      const { engine, node } = scene;
      for (let round = 0; round < restarts; round += 1) {
        scene.relay.knocks.length = 0;
        const long = await scene.running(LONG);
        const restarting = await scene.running(LONG, { restart: { policy: 'always', max_attempts: 50 } });
        const stopping = await scene.running('sleep 600', { stop_timeout: '30s' });
        const ends = await scene.running('sleep 1.5; exit 7');
        await node.rpc('ContainerService.Stop', { job_id: stopping });
        const creates = Array.from({ length: 4 }, () => scene.create('exit 5'));
        if (random.next() < 0.5) await delay(random.int(0, 150));
        if (round % 2 === 0) await engine.kill();
        else await engine.stop();
        await Promise.all(creates);
        await scene.untilUnknown(restarting);
        const whileAway = await scene.create('exit 6');
        await Promise.all(Array.from({ length: 20 }, () => scene.create('exit 0')));
        expect(await scene.get(whileAway)).toMatchObject({ status: 'pending' });
        await delay(random.int(0, 2_000));
        if (round === 0) await scene.untilWatched();
        await engine.start();
        const tookMs = await scene.untilReconciled();
        console.log(
          `round ${round}: agreed after ${Math.round(tookMs)} ms, ${scene.relay.knocks.length} knocks`,
        );
        const sinceFirst = scene.relay.knocks.map((at) => Math.round(at - (scene.relay.knocks[0] ?? 0)));
        const { inHand, later } = partKnocks(scene.relay.knocks);
        expect(worstSecond(later), `knocks at ${sinceFirst.join()} ms`).toBeLessThanOrEqual(
          MAX_KNOCKS_PER_SECOND,
        );
        // All that were at work, and the one who asks for all.
        expect(inHand.length).toBeLessThan(MAX_KNOCKS_IN_HAND);
        expect(await scene.ended(whileAway)).toMatchObject({ exit_code: 6, attempt: 1 });
        expect(await scene.ended(stopping)).toMatchObject({ status: 'complete', reason: 'stopped' });
        if (liveRestore) {
          expect(await scene.get(long)).toMatchObject({ status: 'running', restarts: 0 });
          expect(await scene.ended(ends)).toMatchObject({ status: 'failed', exit_code: 7 });
        }
        await waitFor('the job to be restarted', SETTLED_WITHIN_MS, async () => {
          const { status, not_before } = await scene.get(restarting);
          return status === 'running' && not_before === undefined;
        });
        // The others end by themselves.
        for (const id of [long, restarting]) {
          if ((await scene.get(id)).status === 'running')
            await node.rpc('ContainerService.Stop', { job_id: id });
        }
        await waitFor('all jobs to end', SETTLED_WITHIN_MS, async () => {
          return (
            (await listJobs(node, ['pending', 'pulling', 'starting', 'running', 'stopping'])).length === 0
          );
        });
      }
      await scene.untilReconciled();
    },
    TIMEOUT_MS,
  );
});

test(
  `the engine hangs ${HANGS} times for ${HANG_MS / 1000} s`,
  async () => {
    await using scene = await Scene.set(true);
    const { engine, node } = scene;
    for (let round = 0; round < HANGS; round += 1) {
      const long = await scene.running(LONG);
      const ends = await scene.running('sleep 2; exit 7');
      const stopping = await scene.running(LONG);
      await engine.hang();
      const hungAtMs = performance.now();
      const during = await Promise.all(Array.from({ length: 6 }, () => scene.create('exit 5')));
      await node.rpc('ContainerService.Stop', { job_id: stopping });
      await scene.untilUnknown(long);
      expect(await scene.get(long)).toMatchObject({ status: 'running', observation: 'unknown' });
      expect((await node.get('/health')).status).toBe(200);
      await delay(Math.max(0, HANG_MS - (performance.now() - hungAtMs)));
      engine.resume();
      await scene.untilReconciled();
      for (const id of [...during, ends]) {
        const job = await scene.ended(id);
        expect(job, JSON.stringify(job)).toMatchObject({ exit_code: id === ends ? 7 : 5, attempt: 1 });
      }
      expect(await scene.ended(stopping)).toMatchObject({ status: 'complete' });
      await node.rpc('ContainerService.Stop', { job_id: long });
    }
    await scene.untilReconciled();
    expect(await scene.home.containers(engine.docker)).toHaveLength(scene.jobIds.length);
  },
  TIMEOUT_MS,
);
