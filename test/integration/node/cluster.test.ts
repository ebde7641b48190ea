import { cpSync, openSync, readdirSync, readFileSync, rmSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JobStatus } from '../../../src/api/wire.ts';
import {
  listJobs,
  type Member,
  ProcessCluster,
  untilConnected,
  untilEqual,
} from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB } from '../../support/fake-engine-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli } from '../cli/cli-process.ts';

/** What a change takes to be known everywhere, on a busy machine, ms. */
const SOON_MS = 10_000;
const CANARY = 'canary-5f1f8e2b';

let engine: FakeEngineCluster;
beforeEach(async () => {
  engine = await FakeEngineCluster.make();
});
afterEach(() => engine[Symbol.asyncDispose]());

async function statusOn(member: Member, job_id: string): Promise<JobStatus> {
  return (await member.rpc('ContainerService.Status', { job_id })).status;
}

const jobOn = async (member: Member, job_id: string) => member.rpc('JobService.Get', { job_id });

async function pair(): Promise<[Member, Member]> {
  const [one, two] = await engine.start(2);
  if (one === undefined || two === undefined) throw new Error('two were started');
  return [one, two];
}

/** Everything that a node has on its disk, files that are there only while it runs included. */
function bytesOf({ home }: Member): Buffer {
  const files = readdirSync(home.dataDir, { recursive: true, withFileTypes: true });
  const contents = files
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
  return Buffer.concat([...contents, Buffer.from(home.log())]);
}

describe('two nodes', () => {
  test('1.4.8 a job is known on the other from the first moment, under its id, and is carried out once', async () => {
    const [one, two] = await pair();
    const ids: string[] = [];
    for (let round = 0; round < 200; round += 1) {
      const [owner, other] = round % 2 === 0 ? [one, two] : [two, one];
      const id = await create(owner);
      ids.push(id);
      // Either way of asking would fail with not_found.
      const statuses = await Promise.all([statusOn(other, id), statusOn(other, id), statusOn(owner, id)]);
      expect(statuses).not.toContain('failed');
      expect((await jobOn(other, id)).owner).toBe(owner.id);
    }
    await untilEqual([one, two], SOON_MS);
    await Promise.all(ids.map(async (job_id) => two.rpc('JobService.Wait', { job_id, timeout_ms: SOON_MS })));
    await untilEqual([one, two], SOON_MS);
    for (const id of ids) expect(engine.containersOf(id)).toBeLessThanOrEqual(1);
    expect(engine.driver.calls.create).toBe(ids.length);
    expect(new Set((await listJobs(one.home.port, { all_nodes: true })).map(({ status }) => status))).toEqual(
      new Set(['complete']),
    );
  });

  test('1.4.9 a job of many kilobytes is told of without any value of its environment', async () => {
    const [one, two] = await pair();
    const env = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`NAME_${index}`, `${CANARY}-${index}-${'x'.repeat(500)}`]),
    );
    // So much that its record is abridged, and the rest of it is asked for.
    const labels = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [`label-${index}`, 'y'.repeat(400)]),
    );
    const small = await create(one, {
      ...LONG_JOB,
      env: { SECRET: `${CANARY}-small`, PAD: 'x'.repeat(1_100) },
    });
    const large = await create(one, { ...LONG_JOB, env, labels });
    await two.rpc('JobService.Wait', { job_id: small, until: 'running' });
    await two.rpc('JobService.Wait', { job_id: large, until: 'running' });
    await untilEqual([one, two], SOON_MS);
    expect((await jobOn(two, small)).spec['env']).toEqual({ SECRET: '***', PAD: '***' });
    expect((await jobOn(two, large)).labels).toEqual(labels);
    const told = [
      bytesOf(two).toString('latin1'),
      JSON.stringify(await jobOn(two, large)),
      JSON.stringify(await jobOn(two, small)),
      JSON.stringify(await listJobs(two.home.port, { all_nodes: true })),
      JSON.stringify(await two.rpc('JobService.History', { job_id: large })),
      (await two.node.get('/metrics')).text,
      one.home.log(),
    ];
    for (const text of told) expect(text).not.toContain(CANARY);
    // It is looked for in the right way: the engine was given it, and the record that it is not in is there.
    const given = [...engine.driver.instances.values()].map(
      ({ id }) => engine.driver.planOf(id).env['SECRET'],
    );
    expect(given).toContain(`${CANARY}-small`);
    expect(bytesOf(two).toString('latin1')).toContain(small);
  });

  test('each shows the other, measures the way to it, and sees it drain', async () => {
    const [one, two] = await pair();
    const peersOf = async (member: Member) => (await member.rpc('PeerService.List', {})).peers;
    expect(await peersOf(one)).toMatchObject([{ node_id: two.id, status: 'connected' }]);
    const { rtt_ms } = await one.rpc('PeerService.Ping', { node_id: two.id });
    expect(rtt_ms).toBeLessThan(5_000);
    expect((await cli(['peers', '--output', 'json'], { port: two.home.port })).stdout).toContain(one.id);
    const isSeenDraining = async (): Promise<boolean> => (await peersOf(one))[0]?.draining === true;
    await two.rpc('NodeService.Drain', {});
    await waitFor('the drain to be seen', SOON_MS, isSeenDraining);
    await expect(create(two)).rejects.toMatchObject({ reason: 'draining' });
    expect(await statusOn(two, await create(one))).toBeTypeOf('string');
    await two.rpc('NodeService.Undrain', {});
    await waitFor('the end of the drain to be seen', SOON_MS, async () => !(await isSeenDraining()));
  });

  test('what happens to the jobs of one is followed on the other', async () => {
    const [one, two] = await pair();
    const id = await create(one);
    await two.rpc('JobService.Wait', { job_id: id, timeout_ms: SOON_MS });
    await untilEqual([one, two], SOON_MS);
    const { stdout } = await cli(['events', '--all-nodes', '--output', 'ndjson'], { port: two.home.port });
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.filter(({ job_id }) => job_id === id).map(({ type }) => type)).toEqual(
      expect.arrayContaining(['pending', 'running', 'complete']),
    );
    const all = await cli(['ps', '--all', '--all-nodes'], { port: two.home.port });
    expect(all.stdout).toContain(one.id.slice(-8));
  });

  test('a removed job is gone everywhere, also for a node that was away', async () => {
    const [one, two] = await pair();
    const ids = await Promise.all(Array.from({ length: 5 }, () => create(one)));
    for (const job_id of ids) await one.rpc('JobService.Wait', { job_id });
    await untilEqual([one, two], SOON_MS);
    await two.rpc('ContainerService.Remove', { job_id: ids[0] ?? '' });
    await two.node.kill();
    await one.rpc('ContainerService.Remove', { job_id: ids[1] ?? '' });
    await two.start();
    await untilEqual([one, two], SOON_MS);
    expect((await listJobs(two.home.port, { all_nodes: true })).map(({ job_id }) => job_id).sort()).toEqual(
      ids.slice(2).sort(),
    );
    await expect(statusOn(two, ids[1] ?? '')).rejects.toMatchObject({ reason: 'not_found' });
  });
});

describe('a node whose peers cannot be reached', () => {
  test('1.4.10 accepts jobs and carries them out as if it had none', async () => {
    // One that nobody answers for, one where nobody listens.
    const alone = await engine.cluster.add({
      bootstrap: ['/ip4/192.0.2.1/tcp/4001', '/ip4/127.0.0.1/tcp/9'],
    });
    await alone.start();
    const job_id = await create(alone);
    expect(await alone.rpc('JobService.Wait', { job_id, timeout_ms: SOON_MS })).toMatchObject({
      status: 'complete',
    });
    await expect(statusOn(alone, '01900000-0000-7000-8000-000000000000')).rejects.toMatchObject({
      reason: 'not_found',
    });
    expect(await alone.rpc('PeerService.List', {})).toEqual({ peers: [] });
  });
});

describe('a node that joins later', () => {
  test('1.4.13 by a token: knows every job of before, from whoever has it', async () => {
    const [one, two] = await pair();
    for (let count = 0; count < 20; count += 1) await create(count % 2 === 0 ? one : two);
    const { stdout } = await cli([
      'cluster',
      'token',
      '--data-dir',
      one.home.dataDir,
      '--cluster-key-file',
      engine.cluster.keyFile,
    ]);
    const token = stdout.trim();
    expect(token).not.toBe('');
    const late = await engine.cluster.add({ token });
    await late.start();
    await untilEqual([one, two, late], SOON_MS);
    expect(await listJobs(late.home.port, { all_nodes: true })).toHaveLength(20);
  });
});

describe('a node of another cluster', () => {
  test('is refused, which is counted, and logged once', async () => {
    const one = await engine.cluster.add();
    await one.start();
    await using strangers = new ProcessCluster({
      ...engine.cluster.options,
      settings: { 'peers.bootstrap': one.address },
    });
    const stranger = await strangers.add();
    await stranger.spawn().untilAnswering();
    const refusals = async (): Promise<number> =>
      one.metric('container_manager_peers_refused_total', 'reason="cluster_key"');
    await waitFor('it to be refused again and again', SOON_MS, async () => (await refusals()) > 3);
    const said = 'refused: the other side has another cluster key';
    expect(one.logged(said)).toHaveLength(1);
    expect(stranger.logged(said)).toHaveLength(1);
    expect(await one.rpc('PeerService.List', {})).toEqual({ peers: [] });
  });
});

describe('a store that was restored from an older copy', () => {
  test('begins a new epoch, and all others believe it', async () => {
    const [one, two] = await pair();
    const kept = await create(one);
    await one.rpc('JobService.Wait', { job_id: kept });
    await one.node.stop();
    const backup = join(one.home.directory, 'backup');
    cpSync(one.home.dataDir, backup, { recursive: true });
    await one.start();
    await untilConnected([one, two]);
    const lost = await Promise.all(Array.from({ length: 10 }, () => create(one)));
    for (const job_id of lost) await one.rpc('JobService.Wait', { job_id });
    await untilEqual([one, two], SOON_MS);
    expect(await listJobs(two.home.port, { all_nodes: true })).toHaveLength(11);
    const epochOf = async (job_id: string): Promise<number> =>
      Number((await one.rpc('JobService.History', { job_id })).events[0]?.id.split('-')[0]);
    const epochBefore = await epochOf(lost[0] ?? '');
    await one.node.stop();
    // Whatever has left a container is found by it; of the others nothing is left but what their peers know.
    const found = new Set(lost.slice(5));
    for (const { id, labels } of engine.driver.instances.values()) {
      if (lost.slice(0, 5).includes(labels['container-manager.job'] ?? '')) await engine.driver.remove(id);
    }
    rmSync(one.home.dataDir, { recursive: true });
    cpSync(backup, one.home.dataDir, { recursive: true });
    await one.start();
    const after = await create(one);
    await one.rpc('JobService.Wait', { job_id: after });
    await untilEqual([one, two], 20_000);
    const known = (await listJobs(two.home.port, { all_nodes: true })).map(({ job_id }) => job_id);
    expect(known.sort()).toEqual([kept, after, ...found].sort());
    expect(one.logged('others know more of this node than its store')).toHaveLength(1);
    expect(await epochOf(after)).toBeGreaterThan(epochBefore);
  });
});

describe('a file of mirrors', () => {
  test('that was removed, or is damaged, is fetched again', async () => {
    const [one, two] = await pair();
    for (let count = 0; count < 30; count += 1) await create(one);
    await untilEqual([one, two], SOON_MS);
    const file = join(two.home.dataDir, 'mirror.db');
    await two.node.stop();
    for (const ending of ['', '-wal', '-shm']) rmSync(`${file}${ending}`, { force: true });
    await two.start();
    await untilEqual([one, two], SOON_MS);
    for (const place of [0, 4_096, 9_000]) {
      await two.node.stop();
      const descriptor = openSync(file, 'r+');
      writeSync(descriptor, Buffer.alloc(300, 0xa5), 0, 300, place);
      closeSync(descriptor);
      await two.start().catch(async (error: Error) => {
        // Found damaged only while it was read: that ends the node, and the next one sets it aside.
        expect(error.message).toContain('mirror.db');
        await two.start();
      });
      await create(two);
      await untilConnected([one, two]);
      await untilEqual([one, two], SOON_MS);
    }
    expect(two.logged('mirrors set aside').length).toBeGreaterThan(0);
    expect(await listJobs(two.home.port, { all_nodes: true })).toHaveLength(33);
    for (const member of [one, two]) expect(member.logged('two nodes run with one identity')).toEqual([]);
  });
});
