import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JobView } from '../../../src/api/wire.ts';
import {
  listJobs,
  type Member,
  untilConnected,
  untilEqual,
  untilRecovered,
} from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB, type ServedEngine } from '../../support/fake-engine-cluster.ts';
import { boundMs, figure, IS_FULL } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type Cut, type NetSpace, NetSpaces } from '../support/net-space.ts';
import { seededRandom } from '../support/seed.ts';
import { OrderWatch } from './order-watch.ts';
import {
  EQUAL_AT_WORST_MS,
  expectRecovery,
  printRecovery,
  timeToTell,
  TOLD_WITHIN_MS,
  untilSettled,
} from './support.ts';

const CUTS: readonly Cut[] = ['silent', 'deaf', 'mute', 'refused', 'unplugged'];
/** Until a connection on which nothing comes counts as dead, and more, ms. */
const DEAD_AFTER_MS = 22_000;

let engine: FakeEngineCluster;
let own: ServedEngine[];
let spaces: NetSpaces;
let cleanUp: AsyncDisposableStack;
beforeEach(async () => {
  cleanUp = new AsyncDisposableStack();
});
afterEach(() => cleanUp.disposeAsync());

interface Placed {
  readonly member: Member;
  readonly space: NetSpace;
}

/** Nodes that share no network but the switch; the first ones with engines of their own, where these are given. */
async function start(count: number, engineCount = 0): Promise<Placed[]> {
  spaces = cleanUp.use(new NetSpaces(count));
  engine = cleanUp.use(await FakeEngineCluster.make());
  own = [];
  for (let made = 0; made < engineCount; made += 1) own.push(await engine.addEngine());
  const placed: Placed[] = [];
  for (const space of spaces.spaces) {
    const { env = {} } = own[placed.length] ?? {};
    const member = await engine.cluster.add({ host: space.address, launcher: space.launcher, env });
    await space.openDoor(member.home.port);
    placed.push({ member, space });
  }
  await Promise.all(placed.map(({ member }) => member.start()));
  await untilConnected(placed.map(({ member }) => member));
  return placed;
}

const membersOf = (placed: readonly Placed[]): Member[] => placed.map(({ member }) => member);

async function createOnEach(placed: readonly Placed[], count: number): Promise<void> {
  for (let made = 0; made < count; made += 1) await Promise.all(placed.map(({ member }) => create(member)));
}

describe('a node that is cut off', () => {
  test.each(IS_FULL ? CUTS : (['refused', 'silent'] satisfies Cut[]))(
    'goes on by itself, and after healing all tell the same: %s',
    async (kind) => {
      const placed = await start(3);
      const [one, two, three] = placed as [Placed, Placed, Placed];
      await createOnEach(placed, 5);
      await untilEqual(membersOf(placed), EQUAL_AT_WORST_MS);
      one.space.cut(kind);
      await createOnEach(placed, 10);
      // Those on the same side hear each other as ever.
      expect(await timeToTell(two.member, three.member)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
      await delay(figure(kind === 'refused' ? 1_000 : 3_000, DEAD_AFTER_MS));
      expect(await listJobs(two.member.home.port, { all_nodes: true, owner: one.member.id })).toHaveLength(
        kind === 'mute' || kind === 'refused' || kind === 'silent' || kind === 'unplugged' ? 5 : 15,
      );
      one.space.heal();
      // A connection that was not given up yet goes on when TCP tries again, and nobody is connected anew.
      if (kind === 'refused' || IS_FULL) await expectRecovery(kind, membersOf(placed));
      else printRecovery(kind, await untilRecovered(membersOf(placed), EQUAL_AT_WORST_MS));
      await untilSettled(membersOf(placed));
      expect(engine.duplicates()).toEqual([]);
    },
    figure(60_000, 180_000),
  );
});

test('a connection whose end only one side has seen keeps nobody from the news', async () => {
  const placed = await start(3);
  const members = membersOf(placed);
  const [ends, hearsNothing] = placed as [Placed, Placed, Placed];
  await createOnEach(placed, 5);
  await untilEqual(members, EQUAL_AT_WORST_MS);
  const disconnects = (): number => ends.member.logged('peer disconnected').length;
  hearsNothing.space.cut('silent');
  ends.space.cut('refused');
  await createOnEach(placed, 10);
  await waitFor('it to see the end of both', EQUAL_AT_WORST_MS, () => disconnects() === 2);
  expect(hearsNothing.member.logged('peer disconnected')).toEqual([]);
  for (const { space } of placed) space.heal();
  await expectRecovery('an end that was seen by one side', members);
  await untilSettled(members);
  expect(engine.duplicates()).toEqual([]);
}, 90_000);

/** What may be old says so after this, ms. */
const LOST_WITHIN_MS = 25_000;

test('both sides of a cut say what may be old, and of a key that was used on both one container is left', async () => {
  // A container's name follows from the job: on one engine for both there could be no second.
  const placed = await start(3, 2);
  const members = membersOf(placed);
  const [one, two, three] = members as [Member, Member, Member];
  await createOnEach(placed, 5);
  await untilEqual(members, EQUAL_AT_WORST_MS);
  placed[0]?.space.cut('silent');
  const cutMs = performance.now();
  const request = { ...LONG_JOB, idempotency_key: 'both sides' };
  const created = await Promise.all(
    [one, two].map((member) => member.rpc('ContainerService.Create', request)),
  );
  const [job_id = ''] = created.map((job) => job.job_id);
  expect(created).toMatchObject([
    { job_id, owner: one.id },
    { job_id, owner: two.id },
  ]);
  // Exactly those of whoever is on the other side.
  const views = [
    [one, [two.id, three.id]],
    [two, [one.id]],
    [three, [one.id]],
  ] as const;
  await waitFor('all that may be old to be shown as lost', LOST_WITHIN_MS * 2, async () => {
    const areShown = views.map(async ([member, away]) => {
      const jobs = await listJobs(member.home.port, { all_nodes: true });
      return jobs.every(({ owner, lost }) => (lost === true) === away.some((id) => id === owner));
    });
    return (await Promise.all(areShown)).every(Boolean);
  });
  expect(performance.now() - cutMs).toBeLessThan(LOST_WITHIN_MS);
  for (const member of [one, two])
    await member.rpc('JobService.Wait', { job_id, until: 'running', timeout_ms: EQUAL_AT_WORST_MS });
  placed[0]?.space.heal();
  printRecovery('a key on both sides', await untilRecovered(members, EQUAL_AT_WORST_MS));
  const [keeper, other] = one.id < two.id ? [one, two] : [two, one];
  const ownOf = async (member: Member): Promise<JobView | undefined> =>
    (await listJobs(member.home.port)).find((job) => job.job_id === job_id);
  await waitFor('the other to be stopped', EQUAL_AT_WORST_MS, async () => {
    const job = await ownOf(other);
    return job?.status === 'cancelled' && job.duplicate_of === keeper.id;
  });
  expect(await ownOf(keeper)).toMatchObject({ status: 'running' });
  const states = own.map(({ driver }) =>
    [...driver.instances.values()]
      .filter(({ labels }) => labels['container-manager.job'] === job_id)
      .map(({ state }) => state),
  );
  const [kept, stopped] = keeper === one ? states : states.toReversed();
  expect(kept).toEqual(['running']);
  expect(stopped).not.toContain('running');
  for (const member of members)
    expect(await member.rpc('ContainerService.Status', { job_id })).toMatchObject({ status: 'running' });
  await untilSettled(members);
}, 150_000);

test.each(
  IS_FULL
    ? [
        [3, 34],
        [5, 33],
        [9, 33],
      ]
    : [[3, 3]],
)(
  '%i nodes that work, %i faults at random, one after the other: what one says is what all tell, and nobody takes it back',
  async (count, faults) => {
    const random = seededRandom(`partitions of ${count}`);
    const placed = await start(count);
    const members = membersOf(placed);
    const watch = cleanUp.use(new OrderWatch(members));
    for (let fault = 0; fault < faults; fault += 1) {
      const hit = placed.filter(() => random.next() < 0.5);
      const what = hit.map(({ space }) => {
        if (random.next() < 0.3) {
          const share = random.pick([0.2, 0.3]);
          space.lose(share);
          return `${share} lost`;
        }
        const kind = random.pick(CUTS);
        space.cut(kind);
        return kind;
      });
      await createOnEach(placed, 3);
      await delay(random.int(0, figure(1_000, 25_000)));
      for (const { space } of placed) space.heal();
      printRecovery(what.join(', '), await untilRecovered(members, EQUAL_AT_WORST_MS));
    }
    await untilSettled(members);
    for (const { home } of members)
      expect(await listJobs(home.port, { all_nodes: true })).toHaveLength(faults * 3 * count);
    expect(engine.duplicates()).toEqual([]);
    // Each node has heard of the end, at least, of every job of each other.
    expect(watch.heardCount).toBeGreaterThanOrEqual(faults * 3 * count * (count - 1));
    expect(watch.stepsBack).toEqual([]);
  },
  figure(150_000, 5_400_000),
);

test('where a fifth of all packets is lost, all are heard, late', async () => {
  const placed = await start(3);
  for (const { space } of placed) space.lose(figure(0.2, 0.3));
  await createOnEach(placed, 10);
  const equalMs = await untilEqual(membersOf(placed), EQUAL_AT_WORST_MS);
  console.log(`with loss: equal after ${Math.round(equalMs)} ms`);
  for (const { space } of placed) space.heal();
  await untilSettled(membersOf(placed));
  expect(engine.duplicates()).toEqual([]);
}, 90_000);
