import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { expect, test } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import { listJobs, type Member, ProcessCluster } from '../../support/cluster-processes.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { create } from '../../support/fake-engine-cluster.ts';
import { figure, IS_FULL } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { expectRecovery, untilSettled } from './support.ts';

const JOB_LABEL = 'container-manager.job';

const SHORT: CreateParams = { image: TEST_IMAGE, arguments: ['sh', '-c', 'exit 0'], network: 'none' };
const LONG: CreateParams = {
  ...SHORT,
  arguments: ['sh', '-c', "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
};

/** The containers of all these nodes, by job, as the engine itself tells. */
async function containersByJob(docker: Docker, members: readonly Member[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { home } of members) {
    for (const { Labels } of await home.containers(docker)) {
      const job = Labels[JOB_LABEL] ?? 'none';
      counts.set(job, (counts.get(job) ?? 0) + 1);
    }
  }
  return counts;
}

const RUNS: readonly (readonly [number, number])[] = IS_FULL
  ? [
      [3, 30],
      [10, 20],
    ]
  : [[3, 3]];

test.each(RUNS)(
  '%i nodes on one Docker Engine, %i times kill -9 or a pause: nothing lost, no container twice',
  async (count, faults) => {
    const docker = await requireDocker();
    await buildTestImage(docker);
    using bundle = await DaemonBundle.make();
    const settings = { worker_count: 2, reconcile_interval: '1s', reap_grace: '1s' };
    await using cluster = new ProcessCluster({ program: bundle.program, settings });
    const members = await cluster.start(count);
    const random = seededRandom(`Docker, ${count} nodes`);
    const acknowledged: string[] = [];
    for (let fault = 0; fault < faults; fault += 1) {
      const victim = random.pick(members);
      for (const member of members) {
        acknowledged.push(await create(member, SHORT));
        if (random.next() < 0.3) acknowledged.push(await create(member, LONG));
      }
      await delay(random.int(0, 400));
      if (random.next() < 0.7) {
        await victim.node.kill();
        await victim.start();
      } else {
        await victim.node.hang();
        await delay(random.int(500, figure(1_500, 25_000)));
        victim.node.resume();
      }
    }
    await expectRecovery(`${count} nodes, ${acknowledged.length} jobs`, members);
    await untilSettled(members);
    for (const { home } of members) {
      const known = new Set((await listJobs(home.port, { all_nodes: true })).map(({ job_id }) => job_id));
      expect(acknowledged.filter((id) => !known.has(id))).toEqual([]);
      expect(known.size).toBe(acknowledged.length);
    }
    const containers = await containersByJob(docker, members);
    expect([...containers].filter(([job, made]) => made !== 1 || !acknowledged.includes(job))).toEqual([]);
    expect(containers.size).toBe(acknowledged.length);
  },
  figure(120_000, 1_200_000),
);
