import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { childJobId, type JobId, type NodeId } from '../../../src/kernel/ids.ts';
import { listJobs, untilConnected, untilEqual, type Member } from '../../support/cluster-processes.ts';
import { FakeEngineCluster, LONG_JOB } from '../../support/fake-engine-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';

/** What a busy machine may need until all is as it should be, ms. */
const SOON_MS = 20_000;

let engine: FakeEngineCluster;
beforeEach(async () => {
  engine = await FakeEngineCluster.make();
});
afterEach(() => engine[Symbol.asyncDispose]());

async function three(): Promise<[Member, Member, Member]> {
  const [one, two, other] = await engine.start(3);
  if (one === undefined || two === undefined || other === undefined) throw new Error('three were started');
  return [one, two, other];
}

async function untilRunning(member: Member, job_id: string): Promise<void> {
  await member.rpc('JobService.Wait', { job_id, until: 'running', timeout_ms: SOON_MS });
}

describe('placement among real nodes', () => {
  test('a drained node has its jobs run elsewhere, a named one runs what it is given, and every one a copy', async () => {
    const [one, two, other] = await three();
    await one.rpc('NodeService.Drain', {});
    const any = await one.rpc('ContainerService.Create', { ...LONG_JOB, placement: 'any', wait_ms: SOON_MS });
    expect(any).toMatchObject({ status: 'running' });
    expect([two.id, other.id]).toContain(any.owner);

    const named = await one.rpc('ContainerService.Create', { ...LONG_JOB, placement: other.id });
    expect(named.owner).toBe(other.id);
    await untilRunning(one, named.job_id);
    expect(await listJobs(one.home.port)).toEqual([]);

    await one.rpc('NodeService.Undrain', {});
    const every = await one.rpc('ContainerService.Create', { ...LONG_JOB, placement: 'every' });
    await untilRunning(two, every.job_id);
    for (const member of [one, two, other]) {
      const copy = childJobId(every.job_id as JobId, member.id as NodeId);
      await untilRunning(one, copy);
      expect(await one.rpc('JobService.Get', { job_id: copy })).toMatchObject({
        owner: member.id,
        parent: every.job_id,
      });
      expect(engine.containersOf(copy)).toBe(1);
    }
    await two.rpc('ContainerService.Stop', { job_id: every.job_id, wait_ms: SOON_MS });
    await untilEqual([one, two, other], SOON_MS);
    expect(await other.rpc('ContainerService.Status', { job_id: every.job_id })).toMatchObject({
      status: 'complete',
    });
  });

  test('one key makes one container, asked for at all nodes at once', async () => {
    const members = await three();
    const request = { ...LONG_JOB, idempotency_key: 'k' };
    const created = await Promise.all(
      [0, 1].flatMap(() => members.map((member) => member.rpc('ContainerService.Create', request))),
    );
    expect(created.filter(({ deduplicated }) => deduplicated !== true)).toHaveLength(1);
    const job_id = created[0]?.job_id ?? '';
    await untilRunning(members[0], job_id);
    await untilEqual(members, SOON_MS);
    const owners = await Promise.all(
      members.map(async (member) => (await member.rpc('JobService.Get', { job_id })).owner),
    );
    expect(new Set(owners).size).toBe(1);
    expect(engine.driver.instances.size).toBe(1);
  });

  test(
    'a node that is killed while its job is on the way finds out what became of it',
    { timeout: 120_000 },
    async () => {
      const [one, two, other] = await three();
      const commits = (): Promise<number> => one.metric('container_manager_store_commit_rows_count');
      const before = await commits();
      await two.node.hang();
      const creating = one.rpc('ContainerService.Create', { ...LONG_JOB, placement: two.id });
      creating.catch(() => undefined);
      await waitFor('the target to be stored', SOON_MS, async () => (await commits()) > before);
      await one.node.kill();
      two.node.resume();
      await one.start();
      await untilConnected([one, two, other]);
      await waitFor('the job to run', SOON_MS, () => engine.driver.instances.size === 1);
      const jobs = await listJobs(two.home.port);
      expect(jobs).toHaveLength(1);
      await untilRunning(one, jobs[0]?.job_id ?? '');
      for (const member of [one, other]) expect(await listJobs(member.home.port)).toEqual([]);
      expect(engine.driver.instances.size).toBe(1);
    },
  );
});
