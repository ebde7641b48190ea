import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { NodeHome } from '../../support/node-process.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { killOverAndOver } from './support/killing.ts';
import { DockerOracle } from './support/oracles.ts';
import { CLEAN, judge, MAX_RESTARTS } from './support/verdict.ts';
import { type Kind, Workload } from './support/workload.ts';

const KILLS = figure(10, 100);
const IN_FLIGHT = 22;

const COMMANDS: Readonly<Record<Kind, string>> = {
  short: 'exit 0',
  fails: 'sleep 0.2; exit 3',
  restarts: 'exit 4',
  // Ends on SIGTERM, which a first process without a handler does not.
  long: "trap 'exit 0' TERM; while :; do sleep 0.1; done",
};

function specOf(kind: Kind): CreateParams {
  const spec = { image: TEST_IMAGE, arguments: ['sh', '-c', COMMANDS[kind]], network: 'none' };
  return kind === 'restarts'
    ? { ...spec, restart: { policy: 'on-failure', max_attempts: MAX_RESTARTS } }
    : spec;
}

let bundle: DaemonBundle;
beforeAll(async () => {
  bundle = await DaemonBundle.make();
});
afterAll(() => bundle[Symbol.dispose]());

test(
  `${KILLS} times kill -9 on a Docker Engine: nothing lost, nothing twice, nothing left over, nothing stuck`,
  async () => {
    const docker = await requireDocker();
    await buildTestImage(docker);
    const settings = { worker_count: 4, reconcile_interval: '1s', reap_grace: '1s', queue_size: 200 };
    await using home = await NodeHome.create({ program: bundle.program, settings });
    const random = seededRandom('kill -9, Docker Engine');
    using oracle = await DockerOracle.listen(docker, home);
    const workload = new Workload({ port: home.port, random, specOf, inFlight: IN_FLIGHT, maxHoldMs: 5_000 });
    workload.start();
    const deaths = await killOverAndOver(home, { kills: KILLS, random, maxLifeMs: 600 });
    const node = await home.start();
    await workload.stop();
    const verdict = await judge(node, workload.requests, oracle);
    console.log('deaths', Object.fromEntries(deaths), 'acknowledged', workload.acknowledged.length);
    expect(verdict, `seed ${random.seed}`).toEqual(CLEAN);
    expect(oracle.starts().size).toBeGreaterThan(IN_FLIGHT);
    expect(await node.stop()).toBe(0);
  },
  figure(600_000, 3_600_000),
);
