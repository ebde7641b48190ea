import { expect, test } from 'vitest';
import { idsOn, type Member, untilConnected, untilEqual } from '../../support/cluster-processes.ts';
import { create, createRunning, FakeEngineCluster, LONG_JOB } from '../../support/fake-engine-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli } from '../cli/cli-process.ts';

/** What a busy machine may need until all is as it should be, ms. */
const SOON_MS = 20_000;
/** An owner that is gone is shown as lost after this, ms. */
const LOST_WITHIN_MS = 25_000;
/** By all: the second of two starts to wait later. */
const FORGOTTEN_WITHIN_MS = 60_000;

const jobOn = async (member: Member, job_id: string) => member.rpc('JobService.Get', { job_id });

// Both wait for most of their time.

test.concurrent(
  'a node that dies is shown as lost within 25 s, its jobs stay known, and it is believed again when it is back',
  async () => {
    await using engine = await FakeEngineCluster.make();
    const [one, two] = (await engine.start(2)) as [Member, Member];
    const done = await create(one);
    const runs = await create(one, LONG_JOB);
    await one.rpc('JobService.Wait', { job_id: done });
    await two.rpc('JobService.Wait', { job_id: runs, until: 'running' });
    await untilEqual([one, two], SOON_MS);
    await one.node.kill();
    const killedMs = performance.now();
    expect(await jobOn(two, runs)).toMatchObject({ status: 'running' });
    expect(await jobOn(two, runs)).not.toHaveProperty('lost');
    const unreachable = { reason: 'peer_unreachable' };
    await expect(two.rpc('ContainerService.Stop', { job_id: runs })).rejects.toMatchObject(unreachable);
    await expect(two.rpc('ContainerService.Logs', { job_id: done })).rejects.toMatchObject(unreachable);
    await expect(two.rpc('ContainerService.Remove', { job_id: done })).rejects.toMatchObject(unreachable);
    expect(await two.rpc('JobService.Wait', { job_id: done })).toMatchObject({ status: 'complete' });
    // It knows what it knew, although nobody is there to tell it.
    await two.node.kill();
    await two.start();
    expect((await jobOn(two, runs)).status).toBe('running');
    expect((await jobOn(two, done)).status).toBe('complete');
    let lastAgeMs = 0;
    await waitFor('its jobs to be shown as lost', LOST_WITHIN_MS, async () => {
      const { age_ms, lost } = await jobOn(two, runs);
      expect(age_ms).toBeGreaterThanOrEqual(lastAgeMs);
      lastAgeMs = age_ms;
      return lost === true;
    });
    const lostAfterMs = performance.now() - killedMs;
    expect(lostAfterMs).toBeGreaterThan(10_000);
    expect(lostAfterMs).toBeLessThan(LOST_WITHIN_MS);
    expect((await two.rpc('PeerService.List', {})).peers).toMatchObject([
      { node_id: one.id, status: 'lost' },
    ]);
    expect(await two.metric('container_manager_peers_lost')).toBe(1);
    await one.start();
    await untilConnected([one, two]);
    await untilEqual([one, two], SOON_MS);
    const back = await jobOn(two, runs);
    expect(back).not.toHaveProperty('lost');
    expect(back).toMatchObject({ status: 'running' });
    expect(await two.rpc('ContainerService.Stop', { job_id: runs, wait_ms: SOON_MS })).toMatchObject({
      status: 'complete',
    });
    expect(engine.containersOf(runs)).toBe(1);
  },
);

test.concurrent(
  'a node that will not return is forgotten by all once one of them was told to',
  async () => {
    await using engine = await FakeEngineCluster.make();
    const members = await engine.start(3);
    const [one, two, gone] = members as [Member, Member, Member];
    await create(gone);
    const kept = [await createRunning(one), await createRunning(two)].sort();
    await untilEqual(members, SOON_MS);
    const alive = await cli(['peers', 'forget', gone.id], { port: one.home.port });
    expect(alive.code).not.toBe(0);
    expect(alive.stderr).toContain('stop it first');
    expect(await idsOn(two)).toHaveLength(3);
    await gone.node.stop();
    await waitFor('it to count as lost', FORGOTTEN_WITHIN_MS, async () => {
      const { peers } = await one.rpc('PeerService.List', {});
      return peers.find(({ node_id }) => node_id === gone.id)?.status === 'lost';
    });
    expect((await cli(['peers', 'forget', gone.id], { port: one.home.port })).code).toBe(0);
    expect(await idsOn(one)).toEqual(kept);
    await waitFor('the other to forget it, too', FORGOTTEN_WITHIN_MS, async () => {
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
  },
  150_000,
);
