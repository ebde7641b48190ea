import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sleep } from '../../../src/kernel/clock.ts';
import { CodedError } from '../../../src/kernel/errors.ts';
import { newJobId, type JobId } from '../../../src/kernel/ids.ts';
import { CarriedJobs } from '../../../src/jobs/carried/carried-jobs.ts';
import { encodeEvent, encodeSnapshot } from '../../../src/jobs/carried/replies.ts';
import { encodeRequest, type CarriedRequest } from '../../../src/jobs/carried/requests.ts';
import { carriedCallHandler, MAX_LONG_CALLS_SERVED } from '../../../src/jobs/serve-calls.ts';
import { JobError } from '../../../src/jobs/errors.ts';
import { MAX_WAITING_EVENTS } from '../../../src/jobs/cluster-events.ts';
import { MAX_CARRIED_WAITS } from '../../../src/jobs/elsewhere-waits.ts';
import type { EventsOptions, JobLogsOptions, ObservedEvent } from '../../../src/jobs/jobs.ts';
import type { Placements } from '../../../src/jobs/placement/placements.ts';
import { MAX_LONG_CALLS_PER_PEER } from '../../../src/peers/call-places.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';
import { JobCluster, NO_HOST } from '../../support/job-cluster.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';

/** Who waits for jobs listens all the time. */
const WAITS = 1;

function alone(): JobCluster {
  return new JobCluster(new FakeJobs());
}

describe('a job of this node', () => {
  it('is answered at once, and nobody else is asked', async () => {
    await using harness = await JobHarness.start();
    const { jobs, mirror } = new JobCluster(harness.jobs);
    const job = await harness.create();
    const running = await harness.reach(job.id, 'running');
    expect(jobs.stateOf(job.id)).toBe('running');
    expect(jobs.get(job.id)).toEqual(harness.jobs.get(job.id));
    expect(jobs.inspect(job.id)).toMatchObject({ job: { spec: running.spec } });
    expect(jobs.history(job.id)).toEqual(harness.jobs.history(job.id));
    expect(await jobs.wait(job.id, { until: 'running' })).toMatchObject({ job: { id: job.id } });
    expect(await jobs.stats(job.id)).toMatchObject([{ job: { id: job.id } }]);
    await jobs.stop(job.id);
    await harness.reach(job.id, 'complete');
    await jobs.remove(job.id);
    await expect(Promise.resolve(jobs.stateOf(job.id))).rejects.toMatchObject({ code: 'not_found' });
    expect(mirror.asked).toEqual([job.id]);
  });

  it('goes before one of the same id elsewhere', async () => {
    await using harness = await JobHarness.start();
    const { jobs, mirror, far } = new JobCluster(harness.jobs);
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    mirror.put({ ...job, owner: far.owner, state: 'failed' });
    expect(jobs.stateOf(job.id)).toBe('running');
  });
});

describe('a job of another node', () => {
  it('is told as it was last heard of, at once', async () => {
    const cluster = alone();
    const { id, owner } = await cluster.createFar({ env: { A: 'secret' } });
    cluster.far.move(id, 'running');
    cluster.mirror.ageMs.set(owner, 4_000);
    expect(cluster.jobs.stateOf(id)).toBe('pending');
    cluster.tell(id);
    expect(cluster.jobs.stateOf(id)).toBe('running');
    expect(cluster.jobs.get(id)).toMatchObject({
      job: { owner, state: 'running', spec: { env: { A: '***' } } },
      remote: { ageMs: 4_000, isLost: false },
    });
    cluster.mirror.lost.add(owner);
    expect(cluster.jobs.get(id)).toMatchObject({ remote: { isLost: true } });
    expect(cluster.mirror.asked).toEqual([]);
  });

  it('is asked for among the peers when nobody told of it', async () => {
    const cluster = alone();
    const job = await cluster.createFar();
    cluster.mirror.remove(job);
    cluster.mirror.elsewhere.set(job.id, job);
    expect(await cluster.jobs.stateOf(job.id)).toBe('pending');
    expect(await cluster.jobs.get(job.id)).toMatchObject({ job: { id: job.id } });
    expect(cluster.mirror.asked).toEqual([job.id, job.id]);
  });

  it('is not there when no peer has it', async () => {
    const cluster = alone();
    const id = newJobId(0);
    const signal = new AbortController().signal;
    for (const asked of [
      () => cluster.jobs.stateOf(id),
      () => cluster.jobs.get(id),
      () => cluster.jobs.inspect(id),
      () => cluster.jobs.history(id),
      () => cluster.jobs.wait(id, { until: 'ended' }),
      () => cluster.jobs.stop(id),
      () => cluster.jobs.cancel(id, { signal }),
      () => cluster.jobs.remove(id),
      () => cluster.jobs.stats(id),
    ]) {
      await expect(Promise.resolve().then<unknown>(asked)).rejects.toMatchObject({ code: 'not_found' });
    }
  });

  it('is stopped, cancelled and removed by its owner', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'running');
    const stopped = await cluster.jobs.stop(id, { graceMs: 1_500 });
    expect(stopped).toMatchObject({ job: { id, state: 'stopping' }, remote: { ageMs: 0, isLost: false } });
    expect(cluster.far.stopGraces).toEqual([1_500]);

    const waiting = await cluster.createFar();
    expect(await cluster.jobs.cancel(waiting.id)).toMatchObject({ job: { state: 'cancelled' } });
    await cluster.jobs.remove(waiting.id);
    await cluster.jobs.remove(id, { force: true });
    expect(cluster.far.size).toBe(0);
  });

  it('is refused what its owner refuses, in the same words', async () => {
    const cluster = alone();
    const { id, owner } = await cluster.createFar();
    const failure: unknown = await cluster.jobs.stop(id).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(JobError);
    expect(failure).toMatchObject({
      code: 'invalid_state',
      message: `job ${id} is pending and cannot be stopped`,
      details: { job_id: id, status: 'pending', node: owner },
    });
  });

  it('gives the failures of its engine as those of an engine', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.logSource = async function* () {
      await Promise.resolve();
      yield { stream: 'stdout', data: Buffer.from('a') };
      throw new RuntimeError('engine_unavailable', 'gone');
    };
    await expect(read(cluster, id)).rejects.toSatisfy(
      (error) => error instanceof RuntimeError && error.code === 'engine_unavailable',
    );
  });

  it('tells its history and what it uses', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'running');
    const outcome = { reason: 'exited' as const, message: 'x', exitCode: 3, retryable: false };
    expect(await cluster.jobs.stats(id)).toEqual([
      { job: expect.objectContaining({ id }) as unknown, stats: (await cluster.far.stats(id))[0]?.stats },
    ]);
    cluster.far.move(id, 'failed', outcome);
    const { owner } = cluster.far;
    const history = cluster.far.history(id).map((event) => ({ ...event, owner }));
    expect(await cluster.jobs.history(id)).toEqual(history);
    expect(await cluster.jobs.stats(id)).toEqual([]);
  });

  it('is waited for where it runs', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const ended = cluster.jobs.wait(id, { until: 'ended' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
    cluster.far.move(id, 'complete');
    expect(await ended).toMatchObject({ job: { state: 'complete' } });

    const other = await cluster.createFar();
    const tooLong = cluster.jobs.wait(other.id, { until: 'running', timeoutMs: 5 });
    await expect(tooLong).rejects.toMatchObject({ code: 'timeout' });

    const leave = new AbortController();
    const left = cluster.jobs.wait(other.id, { until: 'running', signal: leave.signal });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
    leave.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(0);
  });

  it('is waited for no longer than was asked, or than may be, however long it takes to arrive', async () => {
    const clock = new SteppedClock();
    const arrivals: number[] = [];
    const arrival = async (_id: JobId, limitMs: number): Promise<void> => {
      arrivals.push(limitMs);
      await sleep(clock, 4_000);
    };
    const placements = { find: () => undefined, arrival } as unknown as Placements;
    const cluster = new JobCluster(new FakeJobs(), clock, placements);
    const { id } = await cluster.createFar();
    for (const [timeoutMs, limitMs] of [
      [50_000, 50_000],
      [600_000, 60_000],
      [undefined, 60_000],
    ] as const) {
      const asked = timeoutMs === undefined ? {} : { timeoutMs };
      let failure: unknown;
      cluster.jobs.wait(id, { until: 'ended', ...asked }).catch((error: unknown) => (failure = error));
      await clock.advance(4_000);
      await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
      await clock.advance(limitMs - 4_001);
      expect(failure).toBeUndefined();
      await clock.advance(1);
      expect(failure).toMatchObject({ code: 'timeout' });
      expect(arrivals.pop()).toBe(limitMs);
      await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(0);
    }
  });

  it('is waited for by as many as come, though its owner serves only so many', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const count = MAX_CARRIED_WAITS * 10;
    const waits = Array.from({ length: count }, () => cluster.jobs.wait(id, { until: 'running' }));
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(MAX_CARRIED_WAITS);
    cluster.far.move(id, 'running');
    cluster.tell(id);
    const states = (await Promise.all(waits)).map(({ job }) => job.state);
    expect(states).toEqual(Array(count).fill('running'));
    await expect.poll(() => cluster.pair.b.openStreams, PATIENCE).toBe(0);
  });

  it('is stopped and waited for also when as many logs of its owner are followed as may be', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.logSource = async function* () {
      yield { stream: 'stdout', data: Buffer.from('x') };
      await new Promise(() => undefined);
    };
    const leave = new AbortController();
    const logs = Array.from({ length: MAX_LONG_CALLS_PER_PEER }, () =>
      read(cluster, id, { follow: true, signal: leave.signal }).catch(() => undefined),
    );
    await expect.poll(() => cluster.far.logOptions.length, PATIENCE).toBe(MAX_LONG_CALLS_PER_PEER);
    await expect(read(cluster, id, { follow: true })).rejects.toMatchObject({
      code: 'peer_unreachable',
      retryAfterMs: 1_000,
      message: expect.stringContaining('serves too many calls') as unknown,
    });
    const running = cluster.jobs.wait(id, { until: 'running' });
    await settle();
    cluster.far.move(id, 'running');
    cluster.tell(id);
    expect(await running).toMatchObject({ job: { state: 'running' } });
    expect(await cluster.jobs.stop(id)).toMatchObject({ job: { state: 'stopping' } });
    leave.abort();
    await Promise.all(logs);
  });

  it('is waited for no longer than until somebody tells of it here', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const ended = cluster.jobs.wait(id, { until: 'ended' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
    cluster.mirror.put({ ...cluster.far.get(id).job, state: 'complete' });
    expect(await ended).toMatchObject({ job: { state: 'complete' }, remote: { ageMs: 100 } });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(0);
  });

  it('is waited for whatever becomes of a duplicate of it', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const waits = Array.from({ length: MAX_CARRIED_WAITS + 1 }, () =>
      cluster.jobs.wait(id, { until: 'ended' }),
    );
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(MAX_CARRIED_WAITS);
    const outcome = { reason: 'duplicate' as const, message: 'x', retryable: false };
    const duplicate = { ...cluster.far.get(id).job, owner: 'Z' as typeof cluster.far.owner, outcome };
    cluster.mirror.put({ ...duplicate, state: 'cancelled' });
    cluster.mirror.remove(duplicate);
    await settle();
    cluster.far.move(id, 'complete');
    cluster.tell(id);
    for (const wait of waits)
      expect(await wait).toMatchObject({ job: { state: 'complete', owner: cluster.far.owner } });
  });

  it('is waited for no more once this node is to stop', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const ended = cluster.jobs.wait(id, { until: 'ended' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
    cluster.jobs.drain();
    await expect(ended).rejects.toMatchObject({ code: 'draining' });
  });

  it('brings its output, both streams apart, as its owner has it', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const large = Buffer.alloc(600_000, 'x');
    cluster.far.logSource = async function* () {
      await Promise.resolve();
      yield { stream: 'stdout', data: Buffer.from('out\n') };
      yield { stream: 'stderr', data: Buffer.from([0xff, 0x00]) };
      yield { stream: 'stdout', data: large };
    };
    const options = { tail: 5, sinceMs: 1_000, timestamps: true, follow: false };
    const { stdout, stderr } = await read(cluster, id, options);
    expect(stdout.equals(Buffer.concat([Buffer.from('out\n'), large]))).toBe(true);
    expect([...stderr]).toEqual([0xff, 0x00]);
    expect(cluster.far.logOptions).toMatchObject([options]);
  });

  it('brings no more of its output to a client that has left, and says so', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.logSource = async function* () {
      yield { stream: 'stdout', data: Buffer.from('x') };
      await new Promise(() => undefined);
    };
    const leave = new AbortController();
    const reading = read(cluster, id, { follow: true, signal: leave.signal });
    await expect.poll(() => cluster.far.logOptions.length, PATIENCE).toBe(1);
    leave.abort();
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is asked for its output of a while by its own clock', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    await read(cluster, id, { sinceAgoMs: 300_000 });
    expect(cluster.far.logOptions).toMatchObject([{ sinceAgoMs: 300_000 }]);
  });

  it('does not make its owner read ahead of a slow reader of its output', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    let made = 0;
    cluster.far.logSource = async function* () {
      for (;;) {
        await Promise.resolve();
        made += 1;
        yield { stream: 'stdout', data: Buffer.from('line\n') };
      }
    };
    for await (const _chunk of cluster.jobs.logs(id, { follow: true })) {
      await settle();
      const ahead = made;
      await settle();
      expect(made).toBe(ahead);
      break;
    }
    await expect.poll(() => cluster.pair.b.openStreams, PATIENCE).toBe(0);
  });

  it('is told whole by its owner where its record is not', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar({ arguments: ['x'.repeat(20_000)], env: { A: 'secret' } });
    expect(cluster.jobs.get(id)).toMatchObject({ job: { isAbridged: true, spec: { arguments: [] } } });
    const { job } = await cluster.jobs.inspect(id);
    expect(job.spec).toMatchObject({ arguments: ['x'.repeat(20_000)], env: { A: '***' } });
    cluster.pair.disconnect();
    expect(await cluster.jobs.inspect(id)).toMatchObject({ job: { isAbridged: true } });
  });
});

describe('an owner that serves many', () => {
  it('keeps places for what is answered at once', async () => {
    const { far } = alone();
    const { job } = await far.create(specOf('x'), 'local');
    const handler = carriedCallHandler(far, NO_HOST);
    const leave = new AbortController();
    const ask = async (request: CarriedRequest): Promise<number> => {
      let count = 0;
      for await (const _piece of handler(encodeRequest(request), far.owner, leave.signal)) count += 1;
      return count;
    };
    const wait = { call: 'wait' as const, job: job.id, until: 'ended' as const };
    const waits = Array.from({ length: MAX_LONG_CALLS_SERVED }, () => ask(wait).catch(() => 0));
    await settle();
    await expect(ask(wait)).rejects.toMatchObject({ code: 'busy', retryable: true });
    expect(await ask({ call: 'get', job: job.id })).toBe(2);
    leave.abort();
    await Promise.all(waits);
    far.move(job.id, 'complete');
    expect(await ask(wait)).toBe(2);
  });
});

describe('an owner that does not answer', () => {
  it('is named, with when it was last heard; what is known here is told all the same', async () => {
    const cluster = alone();
    const { id, owner } = await cluster.createFar();
    cluster.mirror.ageMs.set(owner, 35_400);
    cluster.pair.disconnect();
    for (const asked of [
      () => cluster.jobs.stop(id),
      () => cluster.jobs.cancel(id),
      () => cluster.jobs.remove(id),
      () => cluster.jobs.wait(id, { until: 'ended' }),
      () => cluster.jobs.history(id),
      () => cluster.jobs.stats(id),
      () => read(cluster, id),
    ]) {
      const failure: unknown = await Promise.resolve()
        .then<unknown>(asked)
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(JobError);
      expect(failure).toMatchObject({
        code: 'peer_unreachable',
        retryable: true,
        details: { job_id: id, node: owner, last_heard_ms: 35_400 },
      });
      expect((failure as Error).message).toContain('last heard 35 s ago');
    }
    expect(cluster.jobs.stateOf(id)).toBe('pending');
    expect(cluster.jobs.get(id)).toMatchObject({ job: { id } });
  });

  it('is not needed for a job that has ended', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'complete');
    cluster.tell(id);
    cluster.pair.disconnect();
    expect(await cluster.jobs.wait(id, { until: 'ended' })).toMatchObject({ job: { state: 'complete' } });
  });

  it('while it breaks off says that nobody knows what became of the wish', async () => {
    const cluster = alone();
    const { id } = await cluster.createFar();
    const ended = cluster.jobs.wait(id, { until: 'ended' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(1);
    cluster.pair.disconnect();
    await expect(ended).rejects.toMatchObject({ code: 'peer_unreachable' });
    await expect.poll(() => cluster.far.waiting, PATIENCE).toBe(0);
  });
});

describe('a list', () => {
  it('has the jobs of all nodes when it is asked for them, page after page, each once', async () => {
    await using harness = await JobHarness.start({ options: { maxRunning: 1 } });
    const { jobs, mirror, far } = new JobCluster(harness.jobs);
    for (let count = 0; count < 7; count += 1) {
      const own = await harness.create({ name: `own-${count}` });
      const createdAtMs = own.createdAtMs + (count % 3) - 1;
      const id = newJobId(createdAtMs);
      const spec = { ...own.spec, name: `far-${count}` };
      mirror.put({ ...own, id, owner: far.owner, createdAtMs, spec });
    }
    expect(jobs.list({ limit: 100 }).jobs.map(({ job }) => job.owner)).toEqual(Array(7).fill('12D3KooWTest'));
    const all = jobs.list({ limit: 100, allNodes: true });
    expect(all.nextCursor).toBeUndefined();
    expect(all.jobs).toHaveLength(14);
    const times = all.jobs.map(({ job }) => job.createdAtMs);
    expect(times).toEqual([...times].sort((one, other) => other - one));

    for (const limit of [1, 2, 3, 5, 14]) {
      const paged: string[] = [];
      let cursor: string | undefined;
      do {
        const page = jobs.list({ limit, allNodes: true, ...(cursor !== undefined && { cursor }) });
        expect(page.jobs.length).toBeLessThanOrEqual(limit);
        paged.push(...page.jobs.map(({ job }) => job.id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(paged).toEqual(all.jobs.map(({ job }) => job.id));
    }
    const ofFar = jobs.list({ limit: 100, owner: far.owner });
    expect(ofFar.jobs.map(({ job }) => job.owner)).toEqual(Array(7).fill(far.owner));
    expect(ofFar.jobs.every(({ remote }) => remote !== undefined)).toBe(true);
    const own = jobs.list({ limit: 100, owner: '12D3KooWTest' as typeof far.owner, allNodes: true });
    expect(own.jobs).toHaveLength(7);
    expect(jobs.list({ limit: 100, allNodes: true, name: 'far-3' }).jobs).toHaveLength(1);
  });
});

describe('events', () => {
  function follow(cluster: JobCluster, options: Omit<EventsOptions, 'signal'>) {
    const abort = new AbortController();
    const seen: ObservedEvent[] = [];
    const done = (async () => {
      for await (const event of cluster.jobs.events({ ...options, signal: abort.signal })) seen.push(event);
    })();
    done.catch(() => undefined);
    return { seen, done, abort };
  }

  it('of other nodes come in between, on request, with their owner', async () => {
    const own = new FakeJobs();
    const cluster = new JobCluster(own);
    const all = follow(cluster, { allNodes: true });
    const mine = follow(cluster, {});
    await settle();
    const { job } = await cluster.jobs.create({ ...specOf('a') }, 'local');
    const far = await cluster.createFar();
    cluster.far.move(far.id, 'running');
    cluster.tell(far.id);
    own.move(job.id, 'running');
    const wanted = [
      [job.id, 'pending', undefined],
      [far.id, 'pending', far.owner],
      [far.id, 'running', far.owner],
      [job.id, 'running', undefined],
    ];
    await expect.poll(() => all.seen.length, PATIENCE).toBe(4);
    const told = all.seen.map(({ jobId, type, owner }) => [jobId, type, owner]);
    expect(told).toHaveLength(wanted.length);
    expect(told).toEqual(expect.arrayContaining(wanted));
    expect(mine.seen.map(({ jobId }) => jobId)).toEqual([job.id, job.id]);
    for (const each of [all, mine]) each.abort.abort();
    await all.done;
    await mine.done;
    expect(cluster.mirror.listeners).toBe(WAITS);
    expect(own.subscribers).toBe(0);
  });

  it('of this node are resumed where they were left, whatever else is followed', async () => {
    await using harness = await JobHarness.start();
    const cluster = new JobCluster(harness.jobs);
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    const [first, ...rest] = harness.jobs.history(job.id);
    const all = follow(cluster, { allNodes: true, after: { epoch: first!.epoch, seq: first!.seq } });
    await expect.poll(() => all.seen, PATIENCE).toEqual(rest);
    all.abort.abort();
    await all.done;
    const gone = follow(cluster, { allNodes: true, after: { epoch: first!.epoch + 1, seq: 1 } });
    await expect(gone.done).rejects.toMatchObject({ code: 'invalid_state' });
    expect(cluster.mirror.listeners).toBe(WAITS);
  });

  it('of other nodes are not kept for a reader without end', async () => {
    const cluster = alone();
    const far = await cluster.createFar();
    const events = cluster.jobs
      .events({ allNodes: true, signal: new AbortController().signal })
      [Symbol.asyncIterator]();
    const first = events.next();
    cluster.mirror.put(far);
    expect((await first).value).toMatchObject({ jobId: far.id });
    for (let count = 0; count <= MAX_WAITING_EVENTS; count += 1) cluster.mirror.put(far);
    await expect(events.next()).rejects.toSatisfy(
      (error) => error instanceof CodedError && error.code === 'invalid_state',
    );
    expect(cluster.mirror.listeners).toBe(WAITS);
  });
});

describe('two nodes of different versions', () => {
  it('say so where they do not understand each other', async () => {
    const cluster = alone();
    const { id, owner } = await cluster.createFar();
    const notUnderstood = { code: 'invalid_state', details: { job_id: id, node: owner } };
    const target = cluster.mirror.find(id)!;
    const signal = new AbortController().signal;
    const answering = (...pieces: readonly Uint8Array[]) =>
      new CarriedJobs({
        async *call() {
          await Promise.resolve();
          yield* pieces;
        },
      });
    const noJson = Buffer.from('{');
    await expect(answering(noJson, noJson).stop(target, {}, signal)).rejects.toMatchObject(notUnderstood);
    await expect(answering().stop(target, {}, signal)).rejects.toMatchObject(notUnderstood);
    await expect(answering(noJson).history(target, signal)).rejects.toMatchObject(notUnderstood);
    await expect(answering(noJson).stats(target, signal)).rejects.toMatchObject(notUnderstood);
    const [observed] = encodeSnapshot(cluster.far.get(id));
    const newer = Buffer.from(JSON.stringify({ v: 2 }));
    await expect(answering(observed!, newer).get(target, signal)).rejects.toMatchObject(notUnderstood);
    const other = encodeSnapshot({ ...cluster.far.get(id), job: { ...target.job, id: newJobId(0) } });
    await expect(answering(...other).get(target, signal)).rejects.toMatchObject(notUnderstood);
    const endless = answering(
      ...Array.from({ length: 2_000 }, () => encodeEvent(cluster.far.history(id)[0]!)),
    );
    await expect(endless.history(target, signal)).rejects.toMatchObject(notUnderstood);
  });

  it('refuse a call that the other does not know, and nothing else happens', async () => {
    const cluster = alone();
    const handler = carriedCallHandler(cluster.far, NO_HOST);
    const signal = new AbortController().signal;
    const ask = async (request: Uint8Array): Promise<void> => {
      for await (const _piece of handler(request, cluster.far.owner, signal));
    };
    const { id } = await cluster.createFar();
    for (const request of [
      { call: 'dance', job: id },
      { call: 'stop', job: '../etc' },
      { call: 'wait', job: id },
      7,
    ]) {
      await expect(ask(Buffer.from(JSON.stringify(request)))).rejects.toMatchObject({
        code: 'unsupported_call',
      });
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => {
        await expect(ask(bytes)).rejects.toBeInstanceOf(CodedError);
      }),
    );
    expect(cluster.far.size).toBe(1);
  });
});

function specOf(image: string) {
  return {
    image,
    arguments: [],
    env: {},
    resources: {},
    labels: {},
    ports: [],
    restart: { policy: 'no' as const, max_attempts: 10 },
    timeouts: {},
    priority: 0,
  };
}

async function read(
  cluster: JobCluster,
  id: Parameters<JobCluster['jobs']['logs']>[0],
  options: JobLogsOptions = {},
): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  for await (const { stream, data } of cluster.jobs.logs(id, options)) pieces[stream].push(data);
  return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) };
}
