import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JobId } from '../../../src/kernel/ids.ts';
import type { JobEvent } from '../../../src/jobs/job.ts';
import { leastMs } from '../../support/least-time.ts';
import {
  change,
  EXPIRES_AT_MS,
  insertEndedJob,
  insertJob,
  openStore,
  tempDirectory,
} from './support/store-fixture.ts';

/** What a start may take with as many jobs as a node keeps; a guard against a slip, not a benchmark. */
const MAX_START_MS = 4_000;

const full = (): Error => Object.assign(new Error('database or disk is full'), { errcode: 13 });

describe('the list', () => {
  it('pages through all jobs, newest first, each once', async () => {
    using made = openStore();
    const ids: JobId[] = [];
    for (let index = 0; index < 25; index += 1) ids.push((await insertJob(made.log)).id);
    const seen: JobId[] = [];
    for (let before; ;) {
      const page = made.store.jobs({ limit: 7, ...(before === undefined ? {} : { before }) });
      seen.push(...page.map((job) => job.id));
      before = page.at(-1);
      if (before === undefined) break;
    }
    expect(seen).toHaveLength(25);
    expect(new Set(seen)).toEqual(new Set(ids));
    expect(seen[0]).toBe(made.store.jobs({ limit: 1 })[0]?.id);
  });

  it('filters by state, name and the beginning of the id', async () => {
    using made = openStore();
    const web = await insertJob(made.log, { name: 'web' });
    const ended = await insertEndedJob(made.log);
    const ids = (query: object): JobId[] => made.store.jobs({ limit: 10, ...query }).map((job) => job.id);
    expect(ids({ states: ['pending', 'running'] })).toEqual([web.id]);
    expect(ids({ states: ['cancelled'] })).toEqual([ended.id]);
    expect(ids({ name: 'web' })).toEqual([web.id]);
    expect(ids({ name: 'we' })).toEqual([]);
    expect(ids({ idPrefix: ended.id.slice(0, 30) })).toContain(ended.id);
    expect(ids({ idPrefix: '%' })).toEqual([]);
    expect(ids({ states: [] })).toEqual([]);
  });
});

describe('retention', () => {
  it('names what has expired and what is beyond the count, never what has not ended', async () => {
    using made = openStore();
    const ended = [
      await insertEndedJob(made.log),
      await insertEndedJob(made.log),
      await insertEndedJob(made.log),
    ];
    await insertJob(made.log);
    const ids = ended.map((job) => job.id);
    expect(made.store.expiredJobs(EXPIRES_AT_MS - 1, 100, 10)).toEqual([]);
    expect(new Set(made.store.expiredJobs(EXPIRES_AT_MS, 100, 10))).toEqual(new Set(ids));
    expect(made.store.expiredJobs(EXPIRES_AT_MS, 100, 2)).toHaveLength(2);
    expect(made.store.expiredJobs(0, 2, 10)).toHaveLength(1);
    expect(ids).toContain(made.store.expiredJobs(0, 2, 10)[0]);
  });

  it('leaves a tombstone and the removal, and later nothing but a floor', async () => {
    using made = openStore();
    const { id } = await insertEndedJob(made.log);
    await made.log.remove(id);
    expect(made.store.job(id)).toBeUndefined();
    expect(made.store.tombstone(id)).toMatchObject({ id, specHash: 'hash', state: 'cancelled', seq: 3 });
    expect(made.store.history(id).map((event) => event.type)).toEqual(['removed']);
    await made.store.compact(0);
    expect(made.store.tombstone(id)).toBeDefined();
    await made.store.compact(Date.now() + 1);
    expect(made.store.tombstone(id)).toBeUndefined();
    expect(made.store.history(id)).toEqual([]);
    expect(made.store.eventFloor()).toBe(3);
    using again = (made[Symbol.dispose](), openStore(made.directory));
    expect(again.store.eventFloor()).toBe(3);
    expect(again.store.lastSeq).toBe(3);
  });

  it('gives a write-ahead log that has grown too long back to the disk', async () => {
    using made = openStore();
    const log = join(made.directory, 'jobs.db-wal');
    const big = { arguments: Array.from({ length: 8 }, () => 'x'.repeat(30_000)) };
    await Promise.all(Array.from({ length: 80 }, () => insertJob(made.log, big)));
    expect(statSync(log).size).toBeGreaterThan(16 * 1024 ** 2);
    await made.store.compact(0);
    expect(statSync(log).size).toBe(0);
  });
});

describe('a batch that is undone and run again', () => {
  it('tells everybody once, and leaves no gap in the log', async () => {
    using made = openStore();
    const { id } = await insertJob(made.log);
    const heard: [JobEvent['type'], number][] = [];
    using _subscription = made.log.subscribe((event) => void heard.push([event.type, event.seq]));
    let isFull = true;
    const changes = [
      change(made.log, id, 'starting'),
      made.log.change(id, (job) => {
        // It sees what stands before it in the same batch, at either run.
        expect(job.state).toBe('starting');
        if (isFull) {
          isFull = false;
          throw full();
        }
        return { to: 'running' };
      }),
      change(made.log, id, 'stopping'),
    ];
    const [, , stopping] = await Promise.all(changes);
    expect(stopping).toMatchObject({ state: 'stopping', seq: 4 });
    expect(heard).toEqual([
      ['starting', 2],
      ['running', 3],
      ['stopping', 4],
    ]);
    expect(made.store.history(id).map((event) => event.seq)).toEqual([1, 2, 3, 4]);
    expect(made.log.get(id)).toEqual(made.store.job(id));
  });

  it('forgets an insert that was refused for want of space', async () => {
    using made = openStore();
    const { id } = await insertJob(made.log);
    let isFull = true;
    const outcomes = await Promise.allSettled([
      insertJob(made.log),
      made.log.change(id, () => {
        if (isFull) {
          isFull = false;
          throw full();
        }
        return { note: 'written at the second run' };
      }),
    ]);
    expect(outcomes).toMatchObject([{ reason: { code: 'store_full' } }, { value: { seq: 2 } }]);
    expect([...made.log.live()].map((job) => job.id)).toEqual([id]);
    expect(made.store.jobs({ limit: 10 })).toHaveLength(1);
    expect(made.store.eventsAfter(0, 10).map((event) => event.seq)).toEqual([1, 2]);
  });
});

describe('an operation that throws', () => {
  it('takes nothing with it: not the numbers, not its neighbours', async () => {
    using made = openStore();
    const { id } = await insertJob(made.log);
    const outcomes = await Promise.allSettled([
      made.store.write(
        (writer) => {
          writer.nextSeq();
          throw new Error('changed its mind');
        },
        { kind: 'progress' },
      ),
      change(made.log, id, 'starting'),
    ]);
    expect(outcomes[0]).toMatchObject({ status: 'rejected', reason: { message: 'changed its mind' } });
    expect(outcomes[1]).toMatchObject({ status: 'fulfilled', value: { seq: 2 } });
  });
});

describe('a start', () => {
  it(
    `with 10,000 jobs and 60,000 events verifies all of them in under ${MAX_START_MS} ms`,
    { timeout: 120_000 },
    async () => {
      const directory = tempDirectory();
      {
        using made = openStore(directory);
        const jobs = await Promise.all(
          Array.from({ length: 10_000 }, (_, index) => insertJob(made.log, { env: { INDEX: `${index}` } })),
        );
        for (const state of ['starting', 'running'] as const)
          await Promise.all(jobs.map((job) => change(made.log, job.id, state)));
        for (const note of ['a', 'b', 'c'])
          await Promise.all(jobs.map((job) => made.log.change(job.id, () => ({ note }))));
      }
      const tookMs = await leastMs(5, () => openStore(directory)[Symbol.dispose](), MAX_START_MS);
      using opened = openStore(directory);
      expect(opened.store.lastSeq).toBe(60_000);
      expect([...opened.log.live()]).toHaveLength(10_000);
      expect(tookMs).toBeLessThan(MAX_START_MS);
      process.stdout.write(`opened 10,000 jobs and 60,000 events in ${Math.round(tookMs)} ms\n`);
    },
  );
});
