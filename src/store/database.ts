import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { invariant, messageOf } from '../kernel/errors.ts';
import { StoreError } from '../jobs/job-store.ts';
import { migrate, pragma, requireIntact, requireOurs } from './schema.ts';
import {
  isOutOfSpace,
  isSqliteError,
  isSystemError,
  storeCorrupt,
  storeFailed,
  storeFull,
  translateSqliteError,
} from './failures.ts';

/** Older ones can lose committed writes when a checkpoint races (fixed in 3.51.3). */
const MIN_SQLITE_VERSION = [3, 51, 3] as const;

/**
 * The write-ahead log is worked into the file when it has so many pages, 12 MiB: the pages that every commit touches are
 * written to the file once for many commits.
 */
const CHECKPOINT_PAGES = 3072;

/** Read and written by the owner only. */
const PRIVATE_MODE = 0o600;

/**
 * Opens the store's file for this process alone: exclusive lock, WAL, every commit on disk before it returns.
 * Refuses a file that is locked, damaged, newer than this program, or not a store, and has then written nothing to
 * it. Brings an older one up to date.
 */
export function openDatabase(file: string): DatabaseSync {
  requireSqliteVersion();
  let database: DatabaseSync | undefined;
  try {
    createPrivate(file);
    database = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true });
    // Set before WAL is first touched: no shared memory file, and the first read takes the lock for good.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    requireOurs(database, file);
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    // What a savepoint needs to be undone stays in memory: a full /tmp must not fail a commit.
    database.exec('PRAGMA temp_store = MEMORY');
    requirePragma(database, 'journal_mode', 'wal');
    requirePragma(database, 'synchronous', 2);
    requireIntact(database, file);
    migrate(database, file);
    return database;
  } catch (error) {
    const refusal = nameHolder(translateOpenError(error, file), file);
    if (database !== undefined) closeRefused(database, file, refusal);
    throw refusal;
  }
}

/** Jobs' arguments are nobody else's business; the log beside the file gets the file's own mode. */
function createPrivate(file: string): void {
  closeSync(openSync(file, 'a', PRIVATE_MODE));
}

/**
 * Closes a database that cannot be used. SQLite throws its write-ahead log away when it closes; that of a damaged
 * store may be all that is left to repair it with, so a copy stays.
 */
export function closeRefused(database: DatabaseSync, file: string, refusal: unknown): void {
  const log = `${file}-wal`;
  if (refusal instanceof StoreError && refusal.code === 'store_corrupt' && existsSync(log)) {
    try {
      // The first copy counts: later ones may hold less.
      copyFileSync(log, `${log}.damaged`, constants.COPYFILE_EXCL);
    } catch {
      // Without space, or with a copy from the start before, there is nothing more to save.
    }
  }
  database.close();
}

/** The pid is written beside the file for people; the lock itself is SQLite's, and dies with its process. */
export function writeHolder(file: string): void {
  try {
    writeFileSync(holderFile(file), `${process.pid}\n`);
  } catch {
    // A full disk must not keep a node from starting.
  }
}

function holderFile(file: string): string {
  return `${file}.pid`;
}

function nameHolder(error: unknown, file: string): unknown {
  if (!(error instanceof StoreError) || error.code !== 'store_locked') return error;
  const written = existsSync(holderFile(file)) ? readFileSync(holderFile(file), 'utf8').trim() : '';
  const pid = written === '' ? 'unknown' : written;
  return new StoreError(
    'store_locked',
    `${file} is in use by another node (pid ${pid}); stop it, or start this one with another --data-dir`,
    { cause: error, details: { file, pid } },
  );
}

/** While a file is opened, whatever SQLite cannot make sense of is damage. */
function translateOpenError(error: unknown, file: string): unknown {
  const translated = translateSqliteError(error, file);
  if (isSqliteError(translated)) return storeCorrupt(file, messageOf(error), { cause: error });
  if (!isSystemError(translated)) return translated;
  return isOutOfSpace(translated) ? storeFull(file, translated) : storeFailed(file, translated);
}

function requireSqliteVersion(): void {
  const version = process.versions['sqlite'] ?? '0';
  const parts = version.split('.').map(Number);
  for (const [index, least] of MIN_SQLITE_VERSION.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return;
    if (part < least)
      throw new Error(`SQLite ${version} is too old: at least ${MIN_SQLITE_VERSION.join('.')} is needed`);
  }
}

function requirePragma(database: DatabaseSync, name: string, expected: unknown): void {
  const value = pragma(database, name);
  invariant(value === expected, `PRAGMA ${name} is ${String(value)} instead of ${String(expected)}`);
}
