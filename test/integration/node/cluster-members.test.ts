import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  connectedWith,
  listJobs,
  type Member,
  untilConnected,
  untilEqual,
} from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB } from '../../support/fake-engine-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli } from '../cli/cli-process.ts';

/** What a busy machine may need until all is as it should be, ms. */
const SOON_MS = 20_000;
/** An owner that is gone is shown as lost after this, ms; the second of two starts to wait later. */
const LOST_WITHIN_MS = 30_000;

let engine: FakeEngineCluster;
beforeEach(async () => {
  engine = await FakeEngineCluster.make();
});
afterEach(() => engine[Symbol.asyncDispose]());

async function running(member: Member): Promise<string> {
  const job_id = await create(member, LONG_JOB);
  await member.rpc('JobService.Wait', { job_id, until: 'running', timeout_ms: SOON_MS });
  return job_id;
}

const idsOn = async (member: Member): Promise<string[]> =>
  (await listJobs(member.home.port, { all_nodes: true })).map(({ job_id }) => job_id).sort();

test('a node that will not return is forgotten by all once one of them was told to', async () => {
  const members = await engine.start(3);
  const [one, two, gone] = members as [Member, Member, Member];
  await create(gone);
  const kept = [await running(one), await running(two)].sort();
  await untilEqual(members, SOON_MS);
  const alive = await cli(['peers', 'forget', gone.id], { port: one.home.port });
  expect(alive.code).not.toBe(0);
  expect(alive.stderr).toContain('stop it first');
  expect(await idsOn(two)).toHaveLength(3);
  await gone.node.stop();
  await waitFor('it to count as lost', LOST_WITHIN_MS, async () => {
    const { peers } = await one.rpc('PeerService.List', {});
    return peers.find(({ node_id }) => node_id === gone.id)?.status === 'lost';
  });
  expect((await cli(['peers', 'forget', gone.id], { port: one.home.port })).code).toBe(0);
  expect(await idsOn(one)).toEqual(kept);
  await waitFor('the other to forget it, too', LOST_WITHIN_MS * 2, async () => {
    const { peers } = await two.rpc('PeerService.List', {});
    return !peers.some(({ node_id, jobs }) => node_id === gone.id && jobs > 0);
  });
  expect(await idsOn(two)).toEqual(kept);
  // Nor is it told of anew by whoever was away.
  await two.node.kill();
  await two.start();
  await untilConnected([one, two]);
  await untilEqual([one, two], SOON_MS);
  expect(await idsOn(two)).toEqual(kept);
}, 150_000);

test('a key that is rotated parts those that have it from those that do not, until all have it', async () => {
  const [one, two] = (await engine.start(2)) as [Member, Member];
  const before = [await running(one), await running(two)];
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
  const onNew = await running(one);
  const onOld = await running(two);
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
  const runs = await running(one);
  const ended = await create(one);
  await one.rpc('JobService.Wait', { job_id: ended, timeout_ms: SOON_MS });
  for (const { id, labels } of engine.driver.instances.values())
    if (labels['container-manager.job'] === ended) await engine.driver.remove(id);
  const others = await running(two);
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
