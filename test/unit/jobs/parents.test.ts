import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childJobId, newJobId, type JobId, type NodeId } from '../../../src/kernel/ids.ts';
import { hasEnded, isUp, JOB_STATES, type Job, type JobChild, type JobState } from '../../../src/jobs/job.ts';
import { advanceChild, nextOfParent } from '../../../src/jobs/placement/parent-state.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { advance } from '../../../src/jobs/transitions.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PlacementCluster } from '../../support/placement-cluster.ts';
import { waitFor } from '../../support/wait-for.ts';

const THREE = ['A', 'B', 'C'];
const LONG = 40_000;

function until(what: string, condition: () => boolean): Promise<number> {
  return waitFor(what, PATIENCE.timeout, condition);
}

function copyOf(parent: JobId, name: string): JobId {
  return childJobId(parent, name as NodeId);
}

function states(job: Job): Record<string, JobState> {
  return Object.fromEntries((job.children ?? []).map(({ node, state }) => [node, state]));
}

describe('a job on every node', () => {
  it('has a copy on each, and runs as long as any of them does', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const a = cluster.node('A');
    const { job } = await a.create({ placement: 'every', env: { TOKEN: 'secret' } });
    expect(job).toMatchObject({ owner: 'A', state: 'pending' });
    await a.harness.reach(job.id, 'running');
    for (const name of THREE) {
      const copy = await cluster.node(name).harness.reach(copyOf(job.id, name), 'running');
      expect(copy).toMatchObject({ parent: job.id, owner: name, spec: { env: { TOKEN: 'secret' } } });
      expect(await cluster.node('C').jobs.stateOf(copy.id)).toBe('running');
      expect(await cluster.node(name).jobs.stateOf(job.id)).toBe('running');
    }
    expect(a.harness.jobs.queue()).toMatchObject({ running: 1, waiting: 0, working: 0 });
    for (const name of ['B', 'C']) {
      const { harness } = cluster.node(name);
      harness.fake.exit(harness.instanceId(copyOf(job.id, name)), 0);
    }
    await a.harness.until(job.id, (now) => states(now)['C'] === 'complete', 'the copies to have ended');
    expect(a.harness.log.require(job.id).state).toBe('running');
    a.harness.fake.exit(a.harness.instanceId(copyOf(job.id, 'A')), 0);
    const ended = await a.harness.reach(job.id, 'complete');
    expect(ended.outcome).toMatchObject({ reason: 'children_ended' });
  });

  it('fails when one copy does, and says where', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    for (const [name, exitCode] of [
      ['A', 0],
      ['B', 3],
    ] as const) {
      const { harness } = cluster.node(name);
      await harness.reach(copyOf(job.id, name), 'running');
      harness.fake.exit(harness.instanceId(copyOf(job.id, name)), exitCode);
    }
    const ended = await cluster.node('A').harness.reach(job.id, 'failed');
    expect(ended.outcome).toMatchObject({
      reason: 'child_failed',
      message: expect.stringMatching(/1 of 2 .* on B$/),
    });
  });

  it('is stopped everywhere, from anywhere, and its copies go with it', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    await cluster
      .node('A')
      .harness.until(
        job.id,
        (now) => Object.values(states(now)).every((state) => state === 'running'),
        'all copies to run',
      );
    await cluster.node('C').jobs.stop(job.id);
    const ended = await cluster.node('A').harness.reach(job.id, 'complete');
    expect(ended.outcome).toMatchObject({ reason: 'stopped' });
    expect(states(ended)).toEqual({ A: 'complete', B: 'complete', C: 'complete' });
    await cluster.node('A').jobs.remove(job.id);
    for (const name of THREE)
      await until(
        `the copy on ${name} to be gone`,
        () => cluster.node(name).harness.log.get(copyOf(job.id, name)) === undefined,
      );
    for (const name of THREE) expect(cluster.node(name).harness.fake.instances.size).toBe(0);
  });

  it('is removed by force while its copies run', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    await cluster.node('B').harness.reach(copyOf(job.id, 'B'), 'running');
    await cluster.node('A').jobs.remove(job.id, { force: true });
    await until('all to be gone', () =>
      ['A', 'B'].every((name) => cluster.node(name).harness.jobs.list({ limit: 9 }).jobs.length === 0),
    );
  });

  it('is cancelled before it runs', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    for (const name of ['A', 'B']) cluster.node(name).harness.jobs.pause();
    const { job } = await cluster.node('A').create({ placement: 'every' });
    const cancelled = await cluster.node('A').jobs.cancel(job.id);
    expect(cancelled.job).toMatchObject({ state: 'cancelled', outcome: { reason: 'cancelled' } });
    expect(states(cancelled.job)).toEqual({ A: 'cancelled', B: 'cancelled' });
  });

  it('reaches a node that is away when that is back, also over a restart', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.fate = ({ call }, _from, to) => (call === 'accept' && to === 'C' ? 'lost' : 'through');
    const { job } = await cluster.node('A').create({ placement: 'every' });
    await cluster.node('B').harness.reach(copyOf(job.id, 'B'), 'running');
    await cluster.node('A').harness.reach(job.id, 'running');
    expect(states(cluster.node('A').harness.log.require(job.id))).toMatchObject({ C: 'pending' });
    await cluster.take('C');
    await cluster.restart('A');
    cluster.fate = () => 'through';
    const c = await cluster.add('C');
    await c.harness.reach(copyOf(job.id, 'C'), 'running');
    const { harness } = cluster.node('A');
    await harness.until(job.id, (now) => states(now)['C'] === 'running', 'the copy on C to be known');
    expect(harness.log.require(job.id).state).toBe('running');
    expect(cluster.ownersOf(copyOf(job.id, 'C'))).toEqual(['C']);
  });

  it('has a copy also on a node that is still starting', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const b = await cluster.beginRestart('B');
    const { job } = await cluster.node('A').create({ placement: 'every' });
    await until('it to be asked for', () => cluster.calls.includes('A accept B'));
    b.open();
    await b.harness.reach(copyOf(job.id, 'B'), 'running');
    const { harness } = cluster.node('A');
    await harness.until(job.id, (now) => states(now)['B'] === 'running', 'the copy on B to be known');
  });

  it('ends also when a node that never had its copy is forgotten', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.fate = ({ call }) => (call === 'accept' ? 'lost' : 'through');
    const { harness, placement } = cluster.node('A');
    const { job } = await cluster.node('A').create({ placement: 'every' });
    await harness.reach(copyOf(job.id, 'A'), 'running');
    await cluster.take('B');
    await placement.forget('B' as NodeId);
    await harness.until(job.id, (now) => states(now)['B'] === 'cancelled', 'the copy on B to be given up');
    harness.fake.exit(harness.instanceId(copyOf(job.id, 'A')), 0);
    await harness.reach(job.id, 'failed');
  });

  it(
    'ends also when a node is forgotten that had its copy and told nothing more',
    { timeout: LONG },
    async () => {
      await using cluster = await PlacementCluster.start(['A', 'B']);
      const { harness, placement, mirror } = cluster.node('A');
      mirror.put = () => undefined;
      const { job } = await cluster.node('A').create({ placement: 'every' });
      await harness.until(
        job.id,
        ({ children = [] }) => children.every(({ isDelivered }) => isDelivered),
        'both to have their copies',
      );
      await cluster.take('B');
      await placement.forget('B' as NodeId);
      await harness.until(job.id, (now) => states(now)['B'] === 'cancelled', 'the copy on B to be given up');
    },
  );

  it('takes a copy with it that was to be ended on a node that is away', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.partition(['A'], ['B', 'C']);
    const request = { placement: 'every', idempotency_key: 'k' };
    const { job } = await cluster.node('B').create(request);
    await cluster.node('A').create(request);
    const copy = copyOf(job.id, 'C');
    await cluster.node('C').harness.reach(copy, 'running');
    cluster.fate = ({ call }, _from, to) => (call === 'end' && to === 'C' ? 'lost' : 'through');
    cluster.heal();
    const { harness } = cluster.node('B');
    await harness.reach(job.id, 'cancelled');
    await until('the end to be stored', () => harness.store.placements().some(({ wish }) => wish === 'end'));
    await harness.jobs.remove(job.id);
    await until('the removal to be', () => harness.store.placements().some(({ wish }) => wish === 'remove'));
    cluster.fate = () => 'through';
    await until('the copy to be gone', () => cluster.node('C').harness.log.get(copy) === undefined);
  });

  it('stops its copies as gently as it is told to', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    for (const name of ['A', 'B']) await cluster.node(name).harness.reach(copyOf(job.id, name), 'running');
    await cluster.node('B').jobs.stop(job.id, { graceMs: 7_000 });
    await cluster.node('A').harness.reach(job.id, 'complete');
    for (const name of ['A', 'B'])
      expect(cluster.node(name).harness.log.require(copyOf(job.id, name)).stopGraceMs).toBe(7_000);
  });

  it(
    'takes the copies with it that only it has when another one of its key counts',
    { timeout: LONG },
    async () => {
      await using cluster = await PlacementCluster.start(THREE);
      cluster.partition(['A'], ['B', 'C']);
      const request = { placement: 'every', idempotency_key: 'k' };
      const { job } = await cluster.node('B').create(request);
      await cluster.node('A').create(request);
      for (const name of THREE) await cluster.node(name).harness.reach(copyOf(job.id, name), 'running');
      cluster.heal();
      expect((await cluster.node('B').harness.reach(job.id, 'cancelled')).outcome).toMatchObject({
        duplicateOf: 'A',
      });
      for (const name of ['B', 'C']) await cluster.node(name).harness.reach(copyOf(job.id, name), 'complete');
      expect(cluster.node('A').harness.log.require(copyOf(job.id, 'A')).state).toBe('running');
      expect(states(cluster.node('A').harness.log.require(job.id))).toEqual({ A: 'running' });
    },
  );

  it('leaves the copies that the other one of its key has, too', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.fate = ({ call }, from, to) =>
      call === 'claim' || (call === 'accept' && from === 'B' && to === 'C') ? 'lost' : 'through';
    const request = { placement: 'every', idempotency_key: 'k' };
    const { harness } = cluster.node('A');
    const [{ job }] = await Promise.all([
      cluster.node('A').create(request),
      cluster.node('B').create(request),
    ]);
    await cluster.node('B').harness.reach(job.id, 'cancelled');
    cluster.fate = () => 'through';
    const areUp = (now: Job): boolean => Object.values(states(now)).every((state) => state === 'running');
    await harness.until(job.id, areUp, 'all copies to run');
    for (const name of THREE)
      expect(cluster.node(name).harness.log.require(copyOf(job.id, name)).desire).toBe('run');
    expect(cluster.node('B').harness.store.placements()).toEqual([]);
  });

  it('goes on after a restart, with what happened meanwhile', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    for (const name of ['A', 'B']) await cluster.node(name).harness.reach(copyOf(job.id, name), 'running');
    const { harness } = cluster.node('B');
    cluster.partition(['A'], ['B']);
    harness.fake.exit(harness.instanceId(copyOf(job.id, 'B')), 0);
    await harness.reach(copyOf(job.id, 'B'), 'complete');
    await cluster.restart('A');
    cluster.heal();
    const again = cluster.node('A').harness;
    await again.until(job.id, (now) => states(now)['B'] === 'complete', 'the end of the copy to be known');
    again.fake.exit(again.instanceId(copyOf(job.id, 'A')), 0);
    await again.reach(job.id, 'complete');
  });

  it('is one job when it is asked for twice with a key, wherever', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const request = { placement: 'every', idempotency_key: 'k' };
    const first = await cluster.node('A').create(request);
    for (const name of ['A', 'B'])
      expect(await cluster.node(name).create(request)).toMatchObject({
        job: { id: first.job.id, owner: 'A' },
        deduplicated: true,
      });
  });

  it('has no output of its own', async () => {
    await using cluster = await PlacementCluster.start(['A']);
    const { job } = await cluster.node('A').create({ placement: 'every' });
    const logs = cluster.node('A').jobs.logs(job.id, {});
    await expect(logs[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'invalid_state' });
  });
});

const anyState = fc.constantFrom(...(Object.keys(JOB_STATES) as JobState[]));

function parentWith(children: readonly JobChild[], desire: Job['desire']): Job {
  return {
    id: newJobId(0),
    owner: 'A' as NodeId,
    epoch: 1,
    seq: 1,
    spec: jobSpecSchema.parse({ image: 'x' }),
    caller: 'local',
    idempotencyKey: undefined,
    state: 'pending',
    desire,
    attempt: 1,
    restarts: 0,
    instance: undefined,
    outcome: undefined,
    createdAtMs: 1,
    updatedAtMs: 1,
    runningAtMs: undefined,
    finishedAtMs: undefined,
    stopGraceMs: undefined,
    notBeforeMs: undefined,
    children,
  };
}

/** Where a parent comes to rest. */
function settled(job: Job): Job {
  for (let steps = 0; steps < 10; steps += 1) {
    const step = nextOfParent(job);
    if (step?.to === undefined) return job;
    job = advance(job, step.to, 1, step.patch);
  }
  throw new Error('it never comes to rest');
}

describe('the state of a job with copies', () => {
  it('follows from them by steps that every job may take, whatever is heard and wished in whatever order', () => {
    const heard = fc.record({ node: fc.nat(3), state: anyState });
    const wish = fc.constantFrom('stop' as const, 'cancel' as const);
    fc.assert(
      fc.property(fc.array(fc.oneof(heard, wish), { maxLength: 30 }), (news) => {
        const nodes = ['A', 'B', 'C', 'D'].map((node): JobChild => ({
          node: node as NodeId,
          state: 'pending',
          isDelivered: false,
        }));
        let job = settled(parentWith(nodes, 'run'));
        for (const item of news) {
          if (typeof item === 'string') job = settled({ ...job, desire: item });
          else {
            const children = (job.children ?? []).map((child, index) =>
              index === item.node ? advanceChild(child, { state: item.state }) : child,
            );
            if (!hasEnded(job)) job = settled({ ...job, children });
          }
          const copies = job.children ?? [];
          expect(hasEnded(job)).toBe(copies.every(hasEnded));
          if (job.state === 'complete') expect(copies.some(({ state }) => state === 'failed')).toBe(false);
          if (copies.some(isUp) && job.desire === 'run') expect(job.state).toBe('running');
        }
      }),
    );
  });

  it('does not go back with what is heard late', () => {
    const child: JobChild = { node: 'A' as NodeId, state: 'running', isDelivered: true };
    expect(advanceChild(child, { state: 'pulling' })).toEqual(child);
    expect(advanceChild(child, { isDelivered: false })).toEqual(child);
    const ended = { ...child, state: 'complete' as const };
    expect(advanceChild(ended, { state: 'running' })).toEqual(ended);
  });
});
