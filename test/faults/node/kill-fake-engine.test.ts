import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { NodeHome } from '../../support/node-process.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineServer } from '../../support/engine-server.ts';
import { killOverAndOver } from './support/killing.ts';
import { fakeOracle } from './support/oracles.ts';
import { CLEAN, duplicateStarts, judge, MAX_RESTARTS } from './support/verdict.ts';
import { type Kind, Workload } from './support/workload.ts';

const KILLS = figure(30, 1_000);
const IN_FLIGHT = 24;
/** The commits that a few kills fall into may by chance hold no Create; that those of so many do not is no chance. */
const MAX_CONTROL_ROUNDS = 10;
const KILLS_PER_ROUND = 3;

const ARGUMENTS: Readonly<Record<Kind, string[]>> = {
  short: ['wait', '120', 'exit', '0'],
  fails: ['wait', '80', 'exit', '3'],
  restarts: ['wait', '20', 'exit', '4'],
  long: [],
};

function specOf(kind: Kind): CreateParams {
  const spec = { image: 'test', arguments: ARGUMENTS[kind] };
  return kind === 'restarts'
    ? { ...spec, restart: { policy: 'on-failure', max_attempts: MAX_RESTARTS } }
    : spec;
}

const SETTINGS = {
  worker_count: 8,
  reconcile_interval: '500ms',
  reap_grace: '1s',
  queue_size: 200,
} as const;

describe('kill -9 of the node; its engine lives on', () => {
  let bundle: DaemonBundle;
  beforeAll(async () => {
    bundle = await DaemonBundle.make();
  });
  afterAll(() => bundle[Symbol.dispose]());

  async function setUp(stack: AsyncDisposableStack): Promise<{ driver: FakeDriver; home: NodeHome }> {
    const driver = new FakeDriver({ latencyMs: 3 });
    driver.addImage('test');
    const engine = stack.use(await EngineServer.start(driver));
    const options = {
      program: bundle.program,
      env: { CM_TEST_ENGINE: engine.socketPath },
      settings: SETTINGS,
    };
    return { driver, home: stack.use(await NodeHome.create(options)) };
  }

  test(
    `${KILLS} kills: nothing lost, nothing twice, nothing left over, nothing stuck`,
    async () => {
      await using stack = new AsyncDisposableStack();
      const { driver, home } = await setUp(stack);
      const random = seededRandom('kill -9, fake engine');
      const oracle = fakeOracle(driver);
      const workload = new Workload({ port: home.port, random, specOf, inFlight: IN_FLIGHT, maxHoldMs: 400 });
      workload.start();
      const deaths = await killOverAndOver(home, { kills: KILLS, random, maxLifeMs: 120 });
      const node = await home.start();
      await workload.stop();
      const verdict = await judge(node, workload.requests, oracle);
      console.log('deaths', Object.fromEntries(deaths), 'acknowledged', workload.acknowledged.length);
      expect(verdict, `seed ${random.seed}`).toEqual(CLEAN);
      // A slow machine gets little done between two kills.
      expect(workload.acknowledged.length).toBeGreaterThan(figure(IN_FLIGHT, KILLS));
      expect(await node.stop()).toBe(0);
    },
    figure(600_000, 3_600_000),
  );

  test('killed while its store is being made, it makes it at the next start', async () => {
    await using stack = new AsyncDisposableStack();
    const { home } = await setUp(stack);
    const first = home.spawn({ env: { CONTAINER_MANAGER_FAIL_AT: 'mid-migration' } });
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
    const node = await home.start();
    const { job_id } = await node.rpc('ContainerService.Create', { image: 'test' });
    expect(await node.rpc('JobService.Wait', { job_id, until: 'running' })).toMatchObject({
      status: 'running',
    });
  });

  test('control: clients that drop the key when they try again make duplicates', async () => {
    await using stack = new AsyncDisposableStack();
    const { driver, home } = await setUp(stack);
    const random = seededRandom('kill -9, control');
    const oracle = fakeOracle(driver);
    const options = { port: home.port, random, specOf, inFlight: IN_FLIGHT, maxHoldMs: 400 };
    let duplicates = 0;
    let startedTwice = 0;
    for (let round = 0; round < MAX_CONTROL_ROUNDS && startedTwice === 0; round += 1) {
      const workload = new Workload({ ...options, dropsKeys: true });
      workload.start();
      for (let kill = 0; kill < KILLS_PER_ROUND; kill += 1) {
        const node = home.spawn({ env: { CONTAINER_MANAGER_FAIL_AT: 'after-commit-before-ack:2' } });
        await node.exited;
      }
      const node = await home.start();
      await workload.stop();
      const verdict = await judge(node, workload.requests, oracle);
      expect(verdict.lost).toEqual([]);
      duplicates += verdict.duplicates.length;
      startedTwice += duplicateStarts(workload.requests, oracle).length;
      expect(await node.stop()).toBe(0);
    }
    console.log(`control: ${duplicates} duplicates, ${startedTwice} started twice`);
    expect(duplicates).toBeGreaterThan(0);
    expect(startedTwice).toBeGreaterThan(0);
  });
});
