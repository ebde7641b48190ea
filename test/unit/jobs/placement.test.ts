import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CarriedCallError, decodeRequest, encodeRequest } from '../../../src/jobs/carried/requests.ts';
import { hasEnded } from '../../../src/jobs/job.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import type { JobId, NodeId } from '../../../src/kernel/ids.ts';
import { HURRIED_CLOCK } from '../../support/hurried-clock.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PlacementCluster, type Fate } from '../../support/placement-cluster.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { waitFor } from '../../support/wait-for.ts';
import { anySpec } from './arbitrary-job.ts';

const THREE = ['A', 'B', 'C'];
const LONG = 60_000;

function until(what: string, condition: () => boolean): Promise<number> {
  return waitFor(what, PATIENCE.timeout, condition);
}

describe('a job placed on any node', () => {
  it('goes to the node that has the image, and each node tells of it', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.node('B').harness.fake.addImage('rare');
    const { job, deduplicated } = await cluster.node('A').create({ image: 'rare', placement: 'any' });
    expect({ owner: job.owner, deduplicated }).toEqual({ owner: 'B', deduplicated: false });
    await cluster.node('B').harness.reach(job.id, 'running');
    for (const name of ['A', 'B']) expect(await cluster.node(name).jobs.stateOf(job.id)).toBe('running');
    expect(cluster.ownersOf(job.id)).toEqual(['B']);
    expect(cluster.node('A').harness.store.placements()).toEqual([]);
  });

  it('stays here where this node is as good, and the lowest', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    const { job } = await cluster.node('A').create({ placement: 'any' });
    expect(job.owner).toBe('A');
    expect(cluster.calls.filter((call) => call.includes('accept'))).toEqual([]);
  });

  it('leaves out who drains, who has no room, and who does not answer in time', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.node('A').harness.jobs.setCordoned(true);
    cluster.fate = (call, _from, to) => (call.call === 'bid' && to === 'B' ? 'silence' : 'through');
    const { job } = await cluster.node('A').create({ placement: 'any' });
    expect(job.owner).toBe('C');
  });

  it('goes to the next node where the best one refuses it after all', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.node('A').harness.jobs.setCordoned(true);
    cluster.fate = (call, _from, to) => {
      if (call.call === 'accept' && to === 'B') cluster.node('B').harness.jobs.setCordoned(true);
      return 'through';
    };
    const { job } = await cluster.node('A').create({ placement: 'any' });
    expect(job.owner).toBe('C');
    expect(cluster.ownersOf(job.id)).toEqual(['C']);
  });

  it('goes to the next node where nothing could be sent to the best one', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.node('A').harness.jobs.setCordoned(true);
    cluster.fate = ({ call }, _from, to) => (call === 'accept' && to === 'B' ? 'unsent' : 'through');
    const { job } = await cluster.node('A').create({ placement: 'any' });
    expect(job.owner).toBe('C');
    expect(cluster.node('A').harness.store.placements()).toEqual([]);
  });

  it('goes to a node that can begin with it', async () => {
    await using cluster = new PlacementCluster();
    await cluster.add('A', { options: { maxRunning: 1 } });
    await cluster.add('B');
    const first = await cluster.node('A').create({ placement: 'any' });
    await cluster.node('A').harness.reach(first.job.id, 'running');
    expect((await cluster.node('A').create({ placement: 'any' })).job.owner).toBe('B');
  });

  it('is refused as this node would refuse it when nobody takes it', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    for (const name of ['A', 'B']) cluster.node(name).harness.jobs.setCordoned(true);
    await expect(cluster.node('A').create({ placement: 'any' })).rejects.toMatchObject({ code: 'draining' });
  });

  it('is held against the policy of the node that runs it', async () => {
    await using cluster = new PlacementCluster();
    const policy = { registries: [], networks: ['special'], publishAddresses: [], maxPids: 10 };
    const limits = { maxMemoryBytes: undefined, maxCpus: undefined };
    await cluster.add('A', { options: { policy: { ...policy, ...limits } } });
    await cluster.add('B');
    const special = { network: 'special', placement: 'B' };
    await expect(cluster.node('A').create(special)).rejects.toMatchObject({ code: 'policy_denied' });
    expect(cluster.node('A').harness.store.placements()).toEqual([]);
  });
});

describe('a job placed on a node', () => {
  it('runs there, for who asked here, with its environment', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster
      .node('A')
      .create({ placement: 'B', env: { TOKEN: 'secret' }, wait_ms: 5_000 });
    expect(job).toMatchObject({ owner: 'B', state: 'running', caller: 'local' });
    expect(cluster.node('B').harness.log.require(job.id).spec.env).toEqual({ TOKEN: 'secret' });
  });

  it('is refused at once where the node is not there, and nothing is left', async () => {
    await using cluster = await PlacementCluster.start(['A']);
    await expect(cluster.node('A').create({ placement: 'B' })).rejects.toMatchObject({
      code: 'peer_unreachable',
      retryable: true,
      details: { node_id: 'B' },
    });
    expect(cluster.node('A').harness.store.placements()).toEqual([]);
  });

  it('waits for a node that is still starting', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const b = await cluster.beginRestart('B');
    const creating = cluster.node('A').create({ placement: 'B' });
    await until('it to be asked for', () => cluster.calls.includes('A accept B'));
    b.open();
    expect(await creating).toMatchObject({ job: { owner: 'B' }, deduplicated: false });
    expect(cluster.ownersOf((await creating).job.id)).toEqual(['B']);
  });

  it('is sent until that can be done', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    let tries = 0;
    cluster.fate = ({ call }) => (call === 'accept' && tries++ < 2 ? 'unsent' : 'through');
    expect((await cluster.node('A').create({ placement: 'B' })).job.owner).toBe('B');
  });

  it('may be this node itself', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    const { job } = await cluster.node('A').create({ placement: 'A' });
    expect(job.owner).toBe('A');
    expect(cluster.calls).toEqual([]);
  });
});

describe('a lost message', () => {
  it('on its way there is sent again, to the same node alone', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.node('A').harness.jobs.setCordoned(true);
    let lost = 0;
    cluster.fate = (call) => (call.call === 'accept' && lost++ < 2 ? 'lost' : 'through');
    const { job } = await cluster.node('A').create({ placement: 'any' });
    expect(job.owner).toBe('B');
    expect(cluster.ownersOf(job.id)).toEqual(['B']);
  });

  it('on its way back makes no second job', async () => {
    await using cluster = await PlacementCluster.start(THREE);
    cluster.node('A').harness.jobs.setCordoned(true);
    let lost = 0;
    cluster.fate = (call) => (call.call === 'accept' && lost++ < 2 ? 'answer-lost' : 'through');
    const { job, deduplicated } = await cluster.node('A').create({ placement: 'any' });
    expect({ owner: job.owner, deduplicated }).toEqual({ owner: 'B', deduplicated: false });
    expect(cluster.ownersOf(job.id)).toEqual(['B']);
    expect(cluster.node('B').harness.jobs.list({ limit: 10 }).jobs).toHaveLength(1);
  });

  it(
    'is told after ten seconds, with the job to ask for, and found out in the end',
    { timeout: LONG },
    async () => {
      const clock = new VirtualClock();
      await using cluster = new PlacementCluster(clock);
      for (const name of ['A', 'B']) await cluster.add(name);
      let tries = 0;
      cluster.fate = ({ call }) => {
        if (call !== 'accept') return 'through';
        tries += 1;
        return 'silence';
      };
      const failing = cluster
        .node('A')
        .create({ placement: 'B' })
        .catch((thrown: unknown) => thrown);
      await until('it to be on its way', () => tries === 1);
      await clock.pass(10_000);
      const error = await failing;
      expect(error).toMatchObject({
        code: 'peer_unreachable',
        retryable: false,
        details: { node_id: 'B', job_id: expect.any(String) },
      });
      const id = (error as { details: { job_id: JobId } }).details.job_id;
      expect(await cluster.node('A').jobs.stateOf(id)).toBe('pending');
      expect(await cluster.node('A').jobs.get(id)).toMatchObject({ job: { owner: 'B', state: 'pending' } });
      const listed = (filter: object): JobId[] =>
        cluster
          .node('A')
          .jobs.list({ limit: 10, ...filter })
          .jobs.map(({ job }) => job.id);
      expect(listed({ allNodes: true })).toEqual([id]);
      expect(listed({ owner: 'B', idPrefix: id.slice(0, 8), states: ['pending'] })).toEqual([id]);
      for (const other of [{}, { owner: 'A' }, { allNodes: true, states: ['running'] }])
        expect(listed(other)).toEqual([]);
      cluster.node('A').mirror.ageMs.set('B' as NodeId, 7_000);
      expect(await cluster.node('A').jobs.get(id)).toMatchObject({ remote: { ageMs: 7_000, isLost: false } });
      cluster.fate = () => 'through';
      await cluster.restart('A');
      await until('the job to be accepted', () => cluster.ownersOf(id).length === 1);
      expect(cluster.ownersOf(id)).toEqual(['B']);
      await cluster.node('B').harness.reach(id, 'running');
      await until('the outbox to be empty', () => cluster.node('A').harness.store.placements().length === 0);
      expect(await cluster.node('A').jobs.stateOf(id)).toBe('running');
    },
  );

  it.each(['lost', 'answer-lost'] as const)(
    'is made up for by a node that died and came back (%s)',
    { timeout: LONG },
    async (fate) => {
      await using cluster = await PlacementCluster.start(THREE);
      cluster.node('A').harness.jobs.setCordoned(true);
      cluster.fate = ({ call }) => (call === 'accept' ? fate : 'through');
      const creating = cluster.node('A').create({ placement: 'any' });
      creating.catch(() => undefined);
      await until('the target to be stored', () => cluster.node('A').harness.store.placements().length === 1);
      const id = cluster.node('A').harness.store.placements()[0]?.id as JobId;
      await until('the job to be stored there', () => fate === 'lost' || cluster.ownersOf(id).length === 1);
      const again = await cluster.restart('A');
      // Draining nodes keep their promises.
      cluster.fate = () => 'through';
      await cluster.node('B').harness.reach(id, 'running');
      await until('the outbox to be empty', () => again.harness.store.placements().length === 0);
      expect(cluster.ownersOf(id)).toEqual(['B']);
    },
  );

  it('is waited for by who comes again with its key, as the same job', { timeout: LONG }, async () => {
    const clock = new VirtualClock();
    await using cluster = new PlacementCluster(clock);
    for (const name of ['A', 'B']) await cluster.add(name);
    const request = { placement: 'B', idempotency_key: 'k' };
    let tries = 0;
    cluster.fate = ({ call }) => {
      if (call !== 'accept') return 'through';
      tries += 1;
      return 'silence';
    };
    const first = cluster.node('A').create(request);
    first.catch(() => undefined);
    await until('it to be on its way', () => tries === 1);
    await clock.pass(10_000);
    await expect(first).rejects.toMatchObject({ code: 'peer_unreachable' });
    await clock.pass(45_000);
    cluster.fate = () => 'through';
    const again = cluster.node('A').create(request);
    again.catch(() => undefined);
    // The try that nobody answers is over after a minute.
    await clock.pass(6_000);
    expect(await again).toMatchObject({ job: { owner: 'B' }, deduplicated: true });
  });

  it('of a job that is removed leaves it in no list', async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.fate = ({ call }) => (call === 'accept' || call === 'end' ? 'lost' : 'through');
    const { harness, jobs } = cluster.node('A');
    const creating = cluster.node('A').create({ placement: 'B' });
    creating.catch(() => undefined);
    await until('the target to be stored', () => harness.store.placements().length === 1);
    const id = harness.store.placements()[0]?.id as JobId;
    expect(jobs.list({ limit: 10, allNodes: true }).jobs).toHaveLength(1);
    jobs.remove(id, { force: true }).catch(() => undefined);
    await until('the wish to be stored', () => harness.store.placements()[0]?.wish === 'remove');
    expect(jobs.list({ limit: 10, allNodes: true }).jobs).toEqual([]);
  });

  it('of a wish to end a job reaches a node that is still starting', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.fate = ({ call }) => (call === 'accept' ? 'answer-lost' : 'through');
    const creating = cluster.node('A').create({ placement: 'B' });
    creating.catch(() => undefined);
    const { store } = cluster.node('A').harness;
    await until('the target to be stored', () => store.placements().length === 1);
    const id = store.placements()[0]?.id as JobId;
    await cluster.node('B').harness.reach(id, 'running');
    const b = await cluster.beginRestart('B');
    const cancelling = cluster.node('A').jobs.cancel(id);
    cancelling.catch(() => undefined);
    await until('it to be asked for', () => cluster.calls.includes('A end B'));
    b.open();
    await until('the outbox to be empty', () => store.placements().length === 0);
    expect(hasEnded(b.harness.log.require(id))).toBe(true);
  });

  it('of a job that is cancelled meanwhile ends it wherever it has come to', { timeout: LONG }, async () => {
    await using cluster = await PlacementCluster.start(['A', 'B']);
    cluster.fate = ({ call }) => (call === 'accept' ? 'answer-lost' : 'through');
    const creating = cluster.node('A').create({ placement: 'B' });
    creating.catch(() => undefined);
    const { harness, jobs } = cluster.node('A');
    await until('the target to be stored', () => harness.store.placements().length === 1);
    const id = harness.store.placements()[0]?.id as JobId;
    await cluster.node('B').harness.reach(id, 'running');
    const { job } = await jobs.cancel(id);
    expect(hasEnded(job)).toBe(true);
    expect(hasEnded(cluster.node('B').harness.log.require(id))).toBe(true);
    expect(harness.store.placements()).toEqual([]);
  });

  it('never makes two owners, whatever is lost', { timeout: 120_000 }, async () => {
    const fates = fc.array(fc.constantFrom<Fate>('through', 'lost', 'answer-lost'), { maxLength: 8 });
    const refusals = fc.array(fc.boolean(), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fates, refusals, fc.boolean(), async (planned, cordons, dies) => {
        await using cluster = new PlacementCluster(HURRIED_CLOCK);
        for (const name of THREE) await cluster.add(name);
        cluster.node('A').harness.jobs.setCordoned(true);
        const fate = [...planned];
        const cordoned = [...cordons];
        cluster.fate = ({ call }, _from, to) => {
          if (call !== 'accept') return 'through';
          cluster.node(to).harness.jobs.setCordoned(cordoned.shift() ?? false);
          return fate.shift() ?? 'through';
        };
        const outcome = cluster
          .node('A')
          .create({ placement: 'any' })
          .then(
            ({ job }) => job.id,
            () => undefined,
          );
        if (dies) await cluster.restart('A');
        if (!dies) await outcome;
        await until('all to be answered', () => cluster.node('A').harness.store.placements().length === 0);
        const jobs = THREE.flatMap((name) => cluster.node(name).harness.jobs.list({ limit: 10 }).jobs);
        expect(jobs.length).toBeLessThanOrEqual(1);
        const id = dies ? undefined : await outcome;
        if (id !== undefined) expect(jobs.map(({ job }) => job.id)).toEqual([id]);
      }),
      { numRuns: 25 },
    );
  });
});

describe('a request on its way', () => {
  it('is read as the very spec that was written', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        const parsed = jobSpecSchema.safeParse(spec);
        fc.pre(parsed.success);
        const job = '01890000-0000-7000-8000-000000000000' as JobId;
        const sent = { call: 'accept' as const, job, caller: 'local', request: parsed.data as typeof spec };
        expect(decodeRequest(encodeRequest(sent))).toEqual(sent);
      }),
    );
  });

  it('is refused when its spec is none', () => {
    const bytes = Buffer.from(JSON.stringify({ call: 'accept', job: 'x', caller: 'local', request: {} }));
    expect(() => decodeRequest(bytes)).toThrow(CarriedCallError);
  });
});
