import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { SecretBox } from '../../../src/kernel/secret-box.ts';
import { insertJob, openStore, tempDirectory } from './support/store-fixture.ts';

async function storeWithJobs(count = 3): Promise<string> {
  using made = openStore();
  for (let index = 0; index < count; index += 1) await insertJob(made.log);
  return made.directory;
}

/** As a kill leaves it: the write-ahead log is there. */
async function unclosedStore(): Promise<string> {
  using made = openStore();
  for (let index = 0; index < 3; index += 1) await insertJob(made.log);
  const copy = tempDirectory();
  cpSync(made.directory, copy, { recursive: true });
  return copy;
}

function edit(directory: string, sql: string): void {
  using database = new DatabaseSync(join(directory, 'jobs.db'), { defensive: false });
  database.exec(sql);
}

function expectRefusal(directory: string, code: string, message: RegExp): void {
  const refusal = expect.objectContaining({
    code,
    message: expect.stringMatching(message),
  }) as Error;
  expect(() => openStore(directory)).toThrow(refusal);
  // The same answer again: a refusal changes nothing, and holds nothing.
  expect(() => openStore(directory)).toThrow(refusal);
}

describe('a store is refused, with its file and a remedy,', () => {
  it('when it is an SQLite file of another program', () => {
    const directory = tempDirectory();
    edit(directory, 'CREATE TABLE theirs (a)');
    const before = readFileSync(join(directory, 'jobs.db'));
    expectRefusal(directory, 'store_foreign', /jobs\.db is an SQLite file of another program; move it away/);
    expect(readFileSync(join(directory, 'jobs.db')).equals(before)).toBe(true);
  });

  it('when it is no database at all', () => {
    const directory = tempDirectory();
    writeFileSync(join(directory, 'jobs.db'), 'not a database, and long enough to be looked at'.repeat(50));
    expectRefusal(
      directory,
      'store_corrupt',
      /jobs\.db is damaged: file is not a database; restore a backup/,
    );
  });

  it('when a newer version wrote it', async () => {
    const directory = await storeWithJobs();
    edit(directory, 'PRAGMA user_version = 99');
    expectRefusal(directory, 'store_foreign', /newer version \(schema 99, .*upgrade this node/);
  });

  it('when its tables are not those of its version', async () => {
    const directory = await storeWithJobs();
    edit(directory, 'DROP INDEX jobs_by_expiry');
    expectRefusal(directory, 'store_corrupt', /its tables are not those of schema 2; restore a backup/);
  });

  it('when it has tables and no version', async () => {
    const directory = await storeWithJobs();
    edit(directory, 'PRAGMA user_version = 0');
    expectRefusal(directory, 'store_corrupt', /its tables are not those of schema 0/);
  });

  it.each([
    ['a job', "UPDATE jobs SET state = 'complete'", /the checksum of job \S+ is wrong/],
    ['an event', 'UPDATE events SET body = body || char(32)', /the checksum of event 1 is wrong/],
    ['the position', 'UPDATE log SET event_floor = 2', /the checksum of its log position is wrong/],
    ['the missing position', 'DELETE FROM log', /its log position is missing/],
  ])('when %s is not what was written', async (_what, sql, message) => {
    const directory = await storeWithJobs();
    edit(directory, sql);
    expectRefusal(directory, 'store_corrupt', message);
  });

  it('when it was cut off', { timeout: 120_000 }, async () => {
    const directory = await storeWithJobs(200);
    const file = join(directory, 'jobs.db');
    truncateSync(file, Math.floor(statSync(file).size / 2));
    expectRefusal(directory, 'store_corrupt', /jobs\.db is damaged: .*restore a backup/);
  });

  it.each([
    ['emptied', (file: string) => truncateSync(file, 0)],
    ['removed', (file: string) => rmSync(file)],
  ])('when its file was %s: it is not made anew in silence', async (_how, harm) => {
    const directory = await storeWithJobs();
    harm(join(directory, 'jobs.db'));
    expectRefusal(
      directory,
      'store_corrupt',
      /has lost changes: .*restore a backup, or remove \S+jobs\.watermark/,
    );
  });

  it('when the end of its write-ahead log is gone, which is then kept', async () => {
    const directory = await unclosedStore();
    const log = join(directory, 'jobs.db-wal');
    const bytes = readFileSync(log);
    bytes[bytes.length - 10] = (bytes.at(-10) ?? 0) ^ 1;
    writeFileSync(log, bytes);
    expectRefusal(directory, 'store_corrupt', /has lost changes/);
    expect(readFileSync(`${log}.damaged`).equals(bytes)).toBe(true);
  });

  it('when a directory is in its place', () => {
    const directory = tempDirectory();
    mkdirSync(join(directory, 'jobs.db'));
    expectRefusal(directory, 'store_failed', /jobs\.db cannot be used: .*must be a file that this user may/);
  });

  it('when a directory is in the place of its watermark', async () => {
    const directory = await storeWithJobs();
    rmSync(join(directory, 'jobs.watermark'));
    mkdirSync(join(directory, 'jobs.watermark'));
    expectRefusal(directory, 'store_failed', /jobs\.watermark cannot be used/);
  });

  it('when another store holds it, with the pid', async () => {
    const directory = await storeWithJobs();
    using _holder = openStore(directory);
    expectRefusal(directory, 'store_locked', new RegExp(`in use by another node \\(pid ${process.pid}\\)`));
  });

  it('when it was sealed with the key of another node', async () => {
    const directory = tempDirectory();
    const made = openStore(directory);
    await insertJob(made.log, { env: { TOKEN: 'secret' } });
    made[Symbol.dispose]();
    expect(() => openStore(directory, { box: new SecretBox(Buffer.alloc(32, 8)) })).toThrow(
      expect.objectContaining({ code: 'store_foreign', message: expect.stringContaining('identity.key') }),
    );
    openStore(directory)[Symbol.dispose]();
  });
});

describe('a store opens', () => {
  it('on an empty file, and is private', () => {
    const directory = tempDirectory();
    closeSync(openSync(join(directory, 'jobs.db'), 'w'));
    openStore(directory)[Symbol.dispose]();
    const fresh = tempDirectory();
    using _open = openStore(fresh);
    for (const name of ['jobs.db', 'jobs.db-wal', 'jobs.watermark', 'reserve'])
      expect(statSync(join(fresh, name)).mode & 0o777, name).toBe(0o600);
  });

  it('after a kill, with everything', async () => {
    const directory = await unclosedStore();
    using opened = openStore(directory);
    expect(opened.store.unfinishedJobs()).toHaveLength(3);
    expect(opened.store.lastSeq).toBe(3);
  });

  it('as the same life, and as a later one where a loss was accepted', async () => {
    const directory = await storeWithJobs();
    const first = openStore(directory);
    const { epoch } = first.store;
    first[Symbol.dispose]();
    const second = openStore(directory);
    expect(second.store.epoch).toBe(epoch);
    second[Symbol.dispose]();
    rmSync(join(directory, 'jobs.watermark'));
    const third = openStore(directory);
    expect(third.store.epoch).toBeGreaterThan(epoch);
    expect(third.store.lastSeq).toBe(3);
    const later = third.store.epoch;
    third[Symbol.dispose]();
    using fourth = openStore(directory);
    expect(fourth.store.epoch).toBe(later);
    expect(existsSync(join(directory, 'jobs.db-wal.damaged'))).toBe(false);
  });
});
