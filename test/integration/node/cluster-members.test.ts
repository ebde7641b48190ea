import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  connectedWith,
  idsOn,
  listJobs,
  type Member,
  untilConnected,
  untilEqual,
} from '../../support/cluster-processes.ts';
import { create, createRunning, FakeEngineCluster } from '../../support/fake-engine-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli } from '../cli/cli-process.ts';

/** What a busy machine may need until all is as it should be, ms. */
const SOON_MS = 20_000;

let engine: FakeEngineCluster;
beforeEach(async () => {
  engine = await FakeEngineCluster.make();
});
afterEach(() => engine[Symbol.asyncDispose]());

test('a key that is rotated parts those that have it from those that do not, until all have it', async () => {
  const [one, two] = (await engine.start(2)) as [Member, Member];
  const before = [await createRunning(one), await createRunning(two)];
  await untilEqual([one, two], SOON_MS);
  const place = ['--data-dir', one.home.dataDir, '--cluster-key-file', engine.cluster.keyFile];
  const rotated = await cli(['cluster', 'rotate-key', '--yes', ...place]);
  expect(rotated).toMatchObject({ code: 0, stderr: '' });
  await one.node.stop();
  await one.start();
  await waitFor(
    'its refusal',
    SOON_MS,
    async () => (await two.metric('container_manager_peers_refused_total')) > 0,
  );
  const onNew = await createRunning(one);
  const onOld = await createRunning(two);
  expect(await connectedWith(one)).toEqual(new Set());
  expect(await connectedWith(two)).toEqual(new Set());
  expect(await idsOn(one)).toEqual([...before, onNew].sort());
  expect(await idsOn(two)).toEqual([...before, onOld].sort());
  await two.node.stop();
  await two.start();
  await untilConnected([one, two]);
  await untilEqual([one, two], SOON_MS);
  const jobs = await listJobs(one.home.port, { all_nodes: true });
  expect(jobs.map(({ job_id }) => job_id).sort()).toEqual([...before, onNew, onOld].sort());
  expect(new Set(jobs.map(({ status }) => status))).toEqual(new Set(['running']));
  expect(engine.duplicates()).toEqual([]);
  expect(engine.driver.calls.create).toBe(4);
}, 120_000);

test('a node that lost its store and kept its identity has what still runs, and its peers follow', async () => {
  const [one, two] = (await engine.start(2)) as [Member, Member];
  const runs = await createRunning(one);
  const ended = await create(one);
  await one.rpc('JobService.Wait', { job_id: ended, timeout_ms: SOON_MS });
  for (const { id, labels } of engine.driver.instances.values())
    if (labels['container-manager.job'] === ended) await engine.driver.remove(id);
  const others = await createRunning(two);
  await untilEqual([one, two], SOON_MS);
  const { id } = one;
  await one.node.kill();
  for (const file of readdirSync(one.home.dataDir))
    if (file !== 'identity.key') rmSync(join(one.home.dataDir, file), { recursive: true });
  await one.start();
  expect(one.id).toBe(id);
  const after = await create(one);
  await one.rpc('JobService.Wait', { job_id: after, timeout_ms: SOON_MS });
  await untilConnected([one, two]);
  await untilEqual([one, two], SOON_MS);
  // Of what has ended and left no container only its peers knew, and they believe its owner.
  expect(await idsOn(two)).toEqual([runs, others, after].sort());
  expect(await two.rpc('JobService.Get', { job_id: runs })).toMatchObject({ owner: id, status: 'running' });
  expect(await two.rpc('ContainerService.Stop', { job_id: runs, wait_ms: SOON_MS })).toMatchObject({
    status: 'complete',
  });
  expect(engine.duplicates()).toEqual([]);
  for (const member of [one, two]) expect(member.logged('two nodes run with one identity')).toEqual([]);
}, 120_000);
