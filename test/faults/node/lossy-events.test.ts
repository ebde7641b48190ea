import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { NodeHome } from '../../support/node-process.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineServer } from '../../support/engine-server.ts';

const EXITS = 500;
/** Exits are spread over so long, so that the stream is cut in between. */
const SPREAD_MS = figure(12_000, 60_000);
const CUT_EVERY_MS = 5_000;
const DROPPED_SHARE = 0.3;
const SEEN_WITHIN_MS = 12_000;
const LIVE_WITHIN_MS = 2_000;

test(`${EXITS} exits while 30 % of the events are dropped and the stream is cut every 5 s: all seen in time`, async () => {
  using bundle = await DaemonBundle.make();
  const random = seededRandom('lossy events');
  const driver = new FakeDriver({ dropEvents: DROPPED_SHARE, seed: random.seed });
  driver.addImage('test');
  await using engine = await EngineServer.start(driver);
  await using home = await NodeHome.create({
    program: bundle.program,
    env: { CM_TEST_ENGINE: engine.socketPath },
    settings: { worker_count: 50, queue_size: 1000 },
  });
  const node = await home.start();
  const cutter = setInterval(() => driver.cutEvents(), CUT_EVERY_MS);
  using _cutter = { [Symbol.dispose]: () => clearInterval(cutter) };

  const delays = await Promise.all(
    Array.from({ length: EXITS }, async (_, index) => {
      const { job_id } = await node.rpc('ContainerService.Create', { image: 'test' });
      const running = await node.rpc('JobService.Wait', { job_id, until: 'running' }, 60_000);
      await delay(random.int(0, SPREAD_MS));
      const exitCode = index % 256;
      const exitedMs = performance.now();
      driver.exit(running.container_id as never, exitCode);
      const ended = await node.rpc('JobService.Wait', { job_id }, 60_000);
      expect(ended).toMatchObject({ status: exitCode === 0 ? 'complete' : 'failed', exit_code: exitCode });
      return performance.now() - exitedMs;
    }),
  );

  const sorted = delays.toSorted((a, b) => a - b);
  const p99 = sorted[Math.floor(EXITS * 0.99)] ?? Number.POSITIVE_INFINITY;
  console.log(
    `seen after ${Math.round(sorted[EXITS / 2] ?? 0)} ms at the median, ${Math.round(p99)} ms at p99`,
  );
  expect(sorted).toHaveLength(EXITS);
  expect(p99).toBeLessThanOrEqual(SEEN_WITHIN_MS);
  // Some were seen only by a list, or nothing was lost and this shows nothing.
  expect(sorted.at(-1)).toBeGreaterThan(200);
});

test('live, the exit of a container on a Docker Engine is seen within 2 s', async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  // No list may help.
  await using home = await NodeHome.create({ settings: { reconcile_interval: '10m' } });
  const node = await home.start();
  const spec = { image: TEST_IMAGE, arguments: ['sleep', '600'], network: 'none' };
  for (let round = 0; round < 5; round += 1) {
    const { job_id } = await node.rpc('ContainerService.Create', spec);
    const { container_id } = await node.rpc('JobService.Wait', { job_id, until: 'running' });
    const waiting = node.rpc('JobService.Wait', { job_id }).then((job) => ({ job, atMs: Date.now() }));
    await docker.getContainer(container_id ?? '').kill();
    const diedAtMs = Date.parse((await docker.getContainer(container_id ?? '').inspect()).State.FinishedAt);
    const { job, atMs } = await waiting;
    expect(job).toMatchObject({ status: 'failed', exit_code: 137, signal: 'SIGKILL' });
    expect(atMs - diedAtMs).toBeLessThanOrEqual(LIVE_WITHIN_MS);
  }
});
