import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { Claims, type AskClaim } from '../../../src/jobs/placement/claims.ts';
import { askAbout, isMeant, type KeyedSpec } from '../../../src/jobs/placement/fingerprint.ts';
import { canonicalJson } from '../../../src/kernel/canonical-json.ts';
import type { Clock } from '../../../src/kernel/clock.ts';
import { jobIdOfKey, type NodeId } from '../../../src/kernel/ids.ts';
import { PeerCallError } from '../../../src/peers/calls.ts';
import { FakeMirror } from '../../support/fake-mirror.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PlacementCluster } from '../../support/placement-cluster.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';
import { waitFor } from '../../support/wait-for.ts';

const THREE = ['A', 'B', 'C'];
const KEY = { idempotency_key: 'k' };
const ID = jobIdOfKey('local', 'k');

function until(what: string, condition: () => boolean): Promise<number> {
  return waitFor(what, PATIENCE.timeout, condition);
}

describe('an idempotency key', () => {
  it('leads to the job of the node that has it, whichever node is asked', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const first = await cluster.node('B').create(KEY);
    for (const name of THREE) {
      const again = await cluster.node(name).create(KEY);
      expect(again).toMatchObject({ job: { id: first.job.id, owner: 'B' }, deduplicated: true });
    }
    expect(cluster.ownersOf(ID)).toEqual(['B']);
  });

  it('leads there also where nothing was told of that job', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('B').create(KEY);
    cluster.node('A').mirror.remove(job);
    expect(await cluster.node('A').create(KEY)).toMatchObject({ job: { owner: 'B' }, deduplicated: true });
  });

  it('is refused with another spec, be it in a value of the environment alone', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    await cluster.node('B').create({ ...KEY, env: { A: '1' } });
    const other = { ...KEY, env: { A: '2' } };
    await expect(cluster.node('A').create(other)).rejects.toMatchObject({
      code: 'idempotency_conflict',
      details: { job_id: ID, node_id: 'B' },
    });
    expect(await cluster.node('A').create({ ...KEY, env: { A: '1' } })).toMatchObject({ deduplicated: true });
  });

  it('is refused when its job was removed elsewhere', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    await cluster.node('B').create(KEY);
    await cluster.node('B').harness.reach(ID, 'running');
    await cluster.node('B').jobs.remove(ID, { force: true });
    await expect(cluster.node('A').create(KEY)).rejects.toMatchObject({
      code: 'idempotency_conflict',
      details: { job_id: ID, removed: true },
    });
  });

  it('is refused where its job was removed, wherever it is to run now', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const a = cluster.node('A');
    await a.create(KEY);
    await a.harness.reach(ID, 'running');
    await a.jobs.remove(ID, { force: true });
    // It has heard of none of that.
    await cluster.restart('B');
    for (const placement of ['local', 'any', 'every', 'B'])
      await expect(a.create({ ...KEY, placement })).rejects.toMatchObject({
        code: 'idempotency_conflict',
        details: { job_id: ID, removed: true },
      });
    for (const name of ['A', 'B']) expect(cluster.node(name).harness.log.get(ID)).toBeUndefined();
  });

  it('is refused by a node that was told of the removal, and reaches nobody now', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    await cluster.node('B').create(KEY);
    await cluster.node('B').harness.reach(ID, 'running');
    await cluster.node('B').jobs.remove(ID, { force: true });
    cluster.partition(['A'], ['B']);
    await expect(cluster.node('A').create(KEY)).rejects.toMatchObject({ code: 'idempotency_conflict' });
  });

  it('is not accepted anew by a node that was told of its job, and reaches nobody now', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    await cluster.node('B').create(KEY);
    cluster.partition(['A'], ['B']);
    await expect(cluster.node('A').create(KEY)).rejects.toMatchObject({
      code: 'peer_unreachable',
      retryable: true,
      details: { job_id: ID, node_id: 'B' },
    });
    expect(cluster.ownersOf(ID)).toEqual(['B']);
  });

  it('is answered for by a node that is still starting', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('B').create(KEY);
    await cluster.beginRestart('B');
    cluster.node('A').mirror.remove(job);
    expect(await cluster.node('A').create(KEY)).toMatchObject({ job: { owner: 'B' }, deduplicated: true });
    expect(cluster.ownersOf(ID)).toEqual(['B']);
  });

  it('is answered for by a node that gives its job to another one, however long that takes', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.fate = ({ call }, from) => (call === 'accept' && from === 'A' ? 'silence' : 'through');
    const creating = cluster.node('A').create({ ...KEY, placement: 'C' });
    creating.catch(() => undefined);
    await until('it to be on its way', () => cluster.node('A').harness.store.placements().length === 1);
    expect(await cluster.node('B').create(KEY)).toMatchObject({ job: { owner: 'C' }, deduplicated: true });
    expect(cluster.ownersOf(ID)).toEqual(['C']);
    // So it is when that node has just come back.
    await cluster.beginRestart('A');
    cluster.node('B').mirror.remove(cluster.node('C').harness.log.require(ID));
    cluster.fate = ({ call }, _from, to) => (call === 'claim' && to === 'C' ? 'lost' : 'through');
    expect(await cluster.node('B').create(KEY)).toMatchObject({ job: { owner: 'C' }, deduplicated: true });
  });

  it('holds for every place', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const first = await cluster.node('A').create({ ...KEY, placement: 'C' });
    expect(first).toMatchObject({ job: { id: ID, owner: 'C' }, deduplicated: false });
    for (const placement of ['local', 'any', 'B'])
      expect(await cluster.node('A').create({ ...KEY, placement })).toMatchObject({
        job: { id: ID, owner: 'C' },
        deduplicated: true,
      });
    expect(cluster.ownersOf(ID)).toEqual(['C']);
  });

  it('waits for nobody who does not answer for long', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.fate = (_call, _from, to) => (to === 'C' ? 'silence' : 'through');
    expect(await cluster.node('A').create(KEY)).toMatchObject({ job: { owner: 'A' }, deduplicated: false });
  });

  it('cannot be judged while the owner of its job does not answer', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    await cluster.node('B').create(KEY);
    cluster.fate = (_call, _from, to) => (to === 'B' ? 'silence' : 'through');
    await expect(cluster.node('A').create(KEY)).rejects.toMatchObject({
      code: 'peer_unreachable',
      retryable: true,
      details: { job_id: ID, node_id: 'B' },
    });
    expect(cluster.ownersOf(ID)).toEqual(['B']);
  });

  it('costs a node that reaches nobody nothing', async () => {
    await using cluster = await PlacementCluster.start(['A']);
    await cluster.node('A').create(KEY);
    await cluster.add('B');
    await cluster.node('A').create();
    expect(cluster.calls).toEqual([]);
  });

  it(
    'makes one job when several nodes are asked at once, however long each message takes',
    { timeout: 60_000 },
    async () => {
      const waits = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 40 });
      const starts = fc.tuple(fc.nat(10), fc.nat(10), fc.nat(10), fc.nat(10));
      await fc.assert(
        fc.asyncProperty(waits, starts, async (delays, beginnings) => {
          await using cluster = await PlacementCluster.start(THREE);
          let place = 0;
          cluster.delayMs = () => delays[place++ % delays.length] ?? 0;
          const created = await Promise.all(
            beginnings.map(async (afterMs, index) => {
              await new Promise((resolve) => setTimeout(resolve, afterMs));
              return cluster.node(THREE[index % 3] ?? 'A').create(KEY);
            }),
          );
          const owners = cluster.ownersOf(ID);
          expect(owners).toHaveLength(1);
          for (const { job } of created) expect(job).toMatchObject({ id: ID, owner: owners[0] });
          expect(created.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
        }),
        { numRuns: 25 },
      );
    },
  );
});

describe('a claim', () => {
  const keyed = { spec: jobSpecSchema.parse({ image: 'x', env: { PIN: '1234' } }), idempotencyKey: 'k' };

  function claims(ask: AskClaim, clock: Clock): Claims {
    return new Claims({
      owner: 'A' as NodeId,
      jobs: { find: () => undefined, wasRemoved: () => false },
      mirror: new FakeMirror(),
      outbox: { find: () => undefined },
      members: { connected: () => ['B' as NodeId] },
      ask,
      clock,
    });
  }

  it('gives way to a node that goes ahead and does not get there', async () => {
    const clock = new SteppedClock();
    const { run } = outcomeOf(
      claims(async () => ({ kind: 'pending', isAhead: true }), clock),
      keyed,
    );
    await clock.advance(6_000);
    await expect(run).rejects.toMatchObject({ code: 'peer_unreachable', retryable: true });
  });

  it('is repeated within its second where the other node serves too many calls', async () => {
    const clock = new SteppedClock();
    let asked = 0;
    const ask: AskClaim = async () => {
      asked += 1;
      if (asked < 4) throw new PeerCallError('busy', 'too many calls');
      return { kind: 'removed' };
    };
    const { run } = outcomeOf(claims(ask, clock), keyed);
    await clock.advance(900);
    await expect(run).rejects.toMatchObject({ code: 'idempotency_conflict' });
    expect(clock.pending).toBe(0);
  });

  it('tells nothing of a spec to who does not have the key', () => {
    const question = askAbout(keyed);
    expect(isMeant(keyed, question)).toBe(true);
    expect(isMeant({ ...keyed, idempotencyKey: 'other' }, question)).toBe(false);
    expect(isMeant({ ...keyed, idempotencyKey: undefined }, question)).toBe(false);
    expect(isMeant({ ...keyed, spec: { ...keyed.spec, env: { PIN: '4321' } } }, question)).toBe(false);
    // All that travels.
    const { nonce, fingerprint } = question;
    for (const tried of [[nonce, keyed.spec], keyed.spec]) {
      const text = canonicalJson(tried);
      for (const key of ['', nonce])
        expect(createHmac('sha256', key).update(text).digest('hex')).not.toBe(fingerprint);
    }
  });

  function outcomeOf(made: Claims, what: KeyedSpec): { run: Promise<string> } {
    const then = { accept: async () => 'accepted', found: async () => 'found' };
    const run = made.run(ID, what, then, new AbortController().signal);
    run.catch(() => undefined);
    return { run };
  }
});

describe('a key that both sides of a partition accepted', () => {
  it('keeps the job of the lowest node, and ends the other with its container', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.partition(['A'], ['B', 'C']);
    await cluster.node('C').create(KEY);
    await cluster.node('A').create(KEY);
    for (const name of ['A', 'C']) await cluster.node(name).harness.reach(ID, 'running');
    cluster.heal();
    const ended = await cluster.node('C').harness.reach(ID, 'cancelled');
    expect(ended.outcome).toMatchObject({ reason: 'duplicate', duplicateOf: 'A', retryable: false });
    expect(ended.outcome?.message).toBe('the job of node A counts');
    for (const name of THREE) {
      expect(await cluster.node(name).jobs.stateOf(ID)).toBe('running');
      expect(await cluster.node(name).jobs.get(ID)).toMatchObject({ job: { owner: 'A' } });
      expect(await cluster.node(name).create(KEY)).toMatchObject({ job: { owner: 'A' }, deduplicated: true });
    }
    await until('the container to be gone', () => cluster.node('C').harness.fake.instances.size === 0);
    expect(cluster.node('A').harness.fake.instances.size).toBe(1);
    // What ended as a duplicate stays on record.
    expect(cluster.node('C').harness.log.require(ID).state).toBe('cancelled');
  });

  it('is cancelled where it waits still, and where a worker has it in hand', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.partition(['A'], ['B'], ['C']);
    cluster.node('B').harness.jobs.pause();
    for (const name of THREE) await cluster.node(name).create(KEY);
    cluster.heal();
    for (const name of ['B', 'C']) {
      const ended = await cluster.node(name).harness.reach(ID, 'cancelled');
      expect(ended.outcome).toMatchObject({ reason: 'duplicate', duplicateOf: 'A' });
    }
    expect(cluster.ownersOf(ID)).toEqual(['A']);
  });

  it('is settled also by a node that learnt of it while it was down', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.partition(['A'], ['B']);
    for (const name of ['A', 'B']) await cluster.node(name).create(KEY);
    await cluster.node('B').harness.reach(ID, 'running');
    const told = cluster.node('A').harness.log.require(ID);
    const again = await cluster.restart('B');
    again.mirror.put(told);
    expect((await again.harness.reach(ID, 'cancelled')).outcome).toMatchObject({ reason: 'duplicate' });
  });

  it('leaves an ended job as it ended', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.partition(['A'], ['B']);
    for (const name of ['A', 'B']) await cluster.node(name).create(KEY);
    await cluster.node('B').harness.reach(ID, 'running');
    await cluster.node('B').jobs.stop(ID);
    await cluster.node('B').harness.reach(ID, 'complete');
    cluster.heal();
    expect(cluster.node('B').harness.log.require(ID).state).toBe('complete');
  });
});
