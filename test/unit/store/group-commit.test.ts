import { DatabaseSync } from 'node:sqlite';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { StoreError } from '../../../src/jobs/job-store.ts';
import { GroupCommit, MAX_BATCH, type GroupCommitOptions } from '../../../src/store/group-commit.ts';
import { PATIENCE } from '../../support/patience.ts';

const PROGRESS = { kind: 'progress' } as const;
const ADMISSION = { kind: 'admission' } as const;
const REQUEST = { kind: 'request' } as const;

/** As SQLite reports it. */
function sqliteError(errcode: number): Error {
  return Object.assign(new Error(`code ${errcode}`), { errcode });
}
const FULL = 13;
const IOERR_FSYNC = 1034;

let database: DatabaseSync;
let trace: string[];
let fatal: StoreError[];

function commits(options: Partial<GroupCommitOptions> = {}): GroupCommit {
  return new GroupCommit(database, {
    file: 'jobs.db',
    beforeCommit: () => trace.push('before'),
    afterCommit: () => trace.push('committed'),
    afterRollback: () => trace.push('undone'),
    makeSpace: () => false,
    onFatal: (error) => fatal.push(error),
    ...options,
  });
}

const insert = (value: number) => (): number => {
  database.prepare('INSERT INTO numbers VALUES (?)').run(value);
  return value;
};
const stored = (): unknown[] =>
  database
    .prepare('SELECT value FROM numbers ORDER BY rowid')
    .all()
    .map((row) => row['value']);

/** Fails the first time, and does as the operation says from then on. */
function failingOnce(errcode: number, operation: () => number): () => number {
  let hasFailed = false;
  return () => {
    if (hasFailed) return operation();
    hasFailed = true;
    throw sqliteError(errcode);
  };
}

beforeEach(() => {
  database = new DatabaseSync(':memory:');
  database.exec('CREATE TABLE numbers (value INTEGER UNIQUE)');
  trace = [];
  fatal = [];
  onTestFinished(() => database.close());
});

describe('group commit', () => {
  it('makes one commit of one turn, in order, and tells of it in order', async () => {
    const sizes: number[] = [];
    const group = commits({ onBatch: (_seconds, count) => sizes.push(count) });
    const heard: string[] = [];
    const run = (value: number) =>
      group
        .run(insert(value), { ...PROGRESS, onCommitted: (result) => heard.push(`committed ${result}`) })
        .then((result) => heard.push(`resolved ${result}`));
    await Promise.all([run(3), run(1), run(2)]);
    expect(stored()).toEqual([3, 1, 2]);
    expect(heard).toEqual([
      'committed 3',
      'committed 1',
      'committed 2',
      'resolved 3',
      'resolved 1',
      'resolved 2',
    ]);
    expect(trace).toEqual(['before', 'committed']);
    expect(sizes).toEqual([3]);
  });

  it('undoes only what the operation that throws has done', async () => {
    const group = commits();
    const heard: number[] = [];
    const options = { ...PROGRESS, onCommitted: (value: number) => void heard.push(value) };
    const outcomes = await Promise.allSettled([
      group.run(insert(1), options),
      group.run(() => {
        insert(2)();
        throw new Error('changed its mind');
      }, options),
      group.run(insert(1), options),
      group.run(insert(3), options),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    expect(outcomes[1]).toMatchObject({ reason: { message: 'changed its mind' } });
    expect(stored()).toEqual([1, 3]);
    expect(heard).toEqual([1, 3]);
    // Once together, and then each for itself.
    expect(trace).toEqual(['undone', 'before', 'committed']);
  });

  it(`takes ${MAX_BATCH} operations at most into one commit`, async () => {
    const sizes: number[] = [];
    const group = commits({ onBatch: (_seconds, count) => sizes.push(count) });
    await Promise.all(
      Array.from({ length: 2 * MAX_BATCH + 1 }, (_, value) => group.run(insert(value), PROGRESS)),
    );
    expect(sizes).toEqual([MAX_BATCH, MAX_BATCH, 1]);
    expect(stored()).toEqual(Array.from({ length: 2 * MAX_BATCH + 1 }, (_, value) => value));
  });

  it('takes what is asked for while it tells of a commit into the next one', async () => {
    const group = commits();
    const second = Promise.withResolvers<number>();
    await group.run(insert(1), {
      ...PROGRESS,
      onCommitted: () => void group.run(insert(2), PROGRESS).then(second.resolve),
    });
    expect(await second.promise).toBe(2);
    expect(trace).toEqual(['before', 'committed', 'before', 'committed']);
  });
});

describe('a full disk', () => {
  it('refuses admissions, and runs the others again once space is made', async () => {
    const group = commits({ makeSpace: () => true });
    const outcomes = await Promise.allSettled([
      group.run(insert(1), ADMISSION),
      group.run(failingOnce(FULL, insert(2)), PROGRESS),
      group.run(insert(3), PROGRESS),
    ]);
    expect(outcomes).toMatchObject([
      { reason: { code: 'store_full', retryable: true, retryAfterMs: 5_000 } },
      { value: 2 },
      { value: 3 },
    ]);
    expect(stored()).toEqual([2, 3]);
    expect(trace).toEqual(['undone', 'before', 'committed']);
    expect(fatal).toEqual([]);
  });

  it('makes what has happened wait, in order, until there is space', async () => {
    let isFull = true;
    const group = commits();
    const whenSpace = (value: number) => (): number => {
      if (isFull) throw sqliteError(FULL);
      return insert(value)();
    };
    const first = group.run(whenSpace(1), PROGRESS);
    await expect.poll(() => trace.length, PATIENCE).toBeGreaterThan(0);
    const second = group.run(insert(2), PROGRESS);
    await expect.poll(() => trace.length, PATIENCE).toBeGreaterThan(1);
    expect(stored()).toEqual([]);
    isFull = false;
    expect(await Promise.all([first, second])).toEqual([1, 2]);
    expect(stored()).toEqual([1, 2]);
  });
});

describe('a full disk and what clients ask for', () => {
  it('serves it out of the space that is made', async () => {
    const group = commits({ makeSpace: () => true });
    expect(await group.run(failingOnce(FULL, insert(1)), REQUEST)).toBe(1);
    expect(stored()).toEqual([1]);
  });

  it('refuses it when there is none, at once while what has happened waits', async () => {
    let isFull = true;
    const group = commits();
    const whenSpace = (value: number) => (): number => {
      if (isFull) throw sqliteError(FULL);
      return insert(value)();
    };
    const happened = group.run(whenSpace(1), PROGRESS);
    const together = group.run(whenSpace(2), REQUEST);
    await expect(together).rejects.toMatchObject({ code: 'store_full', retryable: true });
    const runs = trace.length;
    await expect(group.run(whenSpace(3), REQUEST)).rejects.toMatchObject({ code: 'store_full' });
    expect(trace).toHaveLength(runs);
    isFull = false;
    expect(await happened).toBe(1);
    expect(await group.run(whenSpace(4), REQUEST)).toBe(4);
    expect(stored()).toEqual([1, 4]);
  });

  it('keeps none of it waiting behind more than one commit of what has happened', async () => {
    const group = commits();
    const fail = (): never => {
      throw sqliteError(FULL);
    };
    const happened = Array.from({ length: MAX_BATCH + 1 }, () => group.run(fail, PROGRESS));
    const outcomes = Promise.allSettled(happened);
    await expect(group.run(fail, REQUEST)).rejects.toMatchObject({ code: 'store_full' });
    group.close();
    expect((await outcomes).every((outcome) => outcome.status === 'rejected')).toBe(true);
  });
});

describe('a disk that fails', () => {
  it('is the end: nobody is told of success, and nothing more is taken', async () => {
    const group = commits();
    const heard: number[] = [];
    const outcomes = await Promise.allSettled([
      group.run(insert(1), { ...PROGRESS, onCommitted: (value) => void heard.push(value) }),
      group.run(failingOnce(IOERR_FSYNC, insert(2)), PROGRESS),
    ]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'store_failed' } });
    await expect(group.run(insert(3), PROGRESS)).rejects.toMatchObject({ code: 'store_failed' });
    expect(fatal).toHaveLength(1);
    expect(heard).toEqual([]);
    expect(stored()).toEqual([]);
  });

  it('after the commit is the end as well: what is on disk is not acknowledged', async () => {
    const failure = new StoreError('store_failed', 'the watermark cannot be written');
    const group = commits({
      afterCommit: () => {
        throw failure;
      },
    });
    await expect(group.run(insert(1), ADMISSION)).rejects.toBe(failure);
    expect(fatal).toEqual([failure]);
    expect(stored()).toEqual([1]);
  });
});

describe('close', () => {
  it('commits what waits, and refuses everything from then on', async () => {
    const group = commits();
    const waiting = [group.run(insert(1), PROGRESS), group.run(insert(2), ADMISSION)];
    group.close();
    expect(stored()).toEqual([1, 2]);
    expect(await Promise.all(waiting)).toEqual([1, 2]);
    await expect(group.run(insert(3), PROGRESS)).rejects.toMatchObject({ code: 'store_failed' });
    group.close();
    expect(fatal).toEqual([]);
  });

  it('leaves nobody waiting who cannot be served', async () => {
    const group = commits();
    const waiting = group.run(() => {
      throw sqliteError(FULL);
    }, PROGRESS);
    group.close();
    await expect(waiting).rejects.toMatchObject({ code: 'store_failed' });
  });
});
