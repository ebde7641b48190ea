import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connectedWith, type Member, untilEqual } from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB } from '../../support/fake-engine-cluster.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { EQUAL_AT_WORST_MS, expectRecovery, untilSettled } from './support.ts';

const UNKNOWN_JOB = '01900000-0000-7000-8000-000000000000';
/** A second for who is asked, and what a node itself takes, ms. */
const ASKED_WITHIN_MS = 2_000;
/** A call that is carried to its owner is given up after 10 s, ms. */
const CARRIED_WITHIN_MS = 12_000;

/** What a call comes to, and how long it takes, ms. */
async function timed<T>(call: Promise<T>): Promise<{ outcome: T | { reason: string }; tookMs: number }> {
  const startedMs = performance.now();
  const outcome = await call.catch((error: { reason?: string }) => ({
    reason: error.reason ?? String(error),
  }));
  return { outcome, tookMs: performance.now() - startedMs };
}

test('a peer that stands still and is connected holds nobody up for longer than is said', async () => {
  await using engine = await FakeEngineCluster.make();
  const members = await engine.start(3);
  const [one, still, other] = members as [Member, Member, Member];
  const job_id = await create(still, LONG_JOB);
  await one.rpc('JobService.Wait', { job_id, until: 'running' });
  await untilEqual(members, EQUAL_AT_WORST_MS);
  await still.node.hang();
  expect(await connectedWith(one)).toContain(still.id);
  const [unknown, status, stopped, logs, keyed] = await Promise.all([
    timed(one.rpc('ContainerService.Status', { job_id: UNKNOWN_JOB })),
    timed(one.rpc('ContainerService.Status', { job_id })),
    timed(one.rpc('ContainerService.Stop', { job_id })),
    timed(one.rpc('ContainerService.Logs', { job_id })),
    timed(one.rpc('ContainerService.Create', { ...LONG_JOB, idempotency_key: 'k' })),
  ]);
  console.log(
    `beside a peer that stands still: ${Object.entries({ unknown, status, stopped, logs, keyed })
      .map(([what, { tookMs }]) => `${what} ${Math.round(tookMs)} ms`)
      .join(', ')}`,
  );
  expect(unknown.outcome).toEqual({ reason: 'not_found' });
  expect(unknown.tookMs).toBeLessThan(boundMs(ASKED_WITHIN_MS));
  expect(status.outcome).toEqual({ job_id, status: 'running' });
  expect(stopped.outcome).toEqual({ reason: 'peer_unreachable' });
  expect(logs.outcome).toEqual({ reason: 'peer_unreachable' });
  for (const { tookMs } of [stopped, logs]) expect(tookMs).toBeLessThan(boundMs(CARRIED_WITHIN_MS));
  expect(keyed.outcome).toMatchObject({ owner: one.id });
  expect(keyed.tookMs).toBeLessThan(boundMs(ASKED_WITHIN_MS));
  still.node.resume();
  // A stop whose answer did not come may have been heard: either is right, and all say the same.
  await expectRecovery('after a peer stood still', members);
  const again = await other.rpc('ContainerService.Create', { ...LONG_JOB, idempotency_key: 'k' });
  expect(again).toMatchObject({ owner: one.id, deduplicated: true });
  await untilSettled(members);
  expect(engine.duplicates()).toEqual([]);
}, 120_000);

const PAUSES = figure(20, 200);
test(
  `${PAUSES} short pauses of nodes that work, one after the other: nothing is lost, none is taken for another`,
  async () => {
    const random = seededRandom('short pauses');
    await using engine = await FakeEngineCluster.make();
    const members = await engine.start(3);
    const made: string[] = [];
    for (let pause = 0; pause < PAUSES; pause += 1) {
      const paused = random.pick(members);
      await paused.node.hang();
      const working = members.filter((member) => member !== paused);
      made.push(...(await Promise.all(working.map((member) => create(member)))));
      await delay(random.int(10, 400));
      paused.node.resume();
      made.push(await create(paused));
    }
    await expectRecovery(`${PAUSES} short pauses`, members);
    await untilSettled(members);
    for (const member of members) {
      const { jobs } = await member.rpc('JobService.List', { all_nodes: true, limit: 1_000 });
      expect(jobs.map(({ job_id }) => job_id).sort()).toEqual(made.toSorted());
      expect(new Set(jobs.map(({ status }) => status))).toEqual(new Set(['complete']));
      expect(member.logged('two nodes run with one identity')).toEqual([]);
    }
    expect(engine.duplicates()).toEqual([]);
  },
  figure(120_000, 600_000),
);
