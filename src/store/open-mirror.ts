import { closeSync, existsSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../kernel/errors.ts';
import { StoreError } from '../jobs/job-store.ts';
import { isSqliteError, storeFailed, translateSqliteError } from './failures.ts';
import { MIRROR_SCHEMA } from './mirror-schema.ts';
import { prepareMirrorStatements, type MirrorStatements } from './mirror-statements.ts';
import { migrate, pragma, requireOurs } from './schema.ts';

export interface OpenMirror {
  readonly database: DatabaseSync;
  readonly statements: MirrorStatements;
  /** How many records there are of each owner. */
  readonly counts: readonly CountsRow[];
}

export interface CountsRow {
  readonly owner: string;
  readonly total: number;
  readonly removed: number;
}

/** Told when the file was moved to another name. */
export type SetAsideListener = (file: string, reason: string) => void;

/** Pages of the write-ahead log before it is worked into the file, 12 MiB. */
const CHECKPOINT_PAGES = 3072;
/** Read and written by the owner only. */
const PRIVATE_MODE = 0o600;

/**
 * Opens the mirrors for this process alone. It holds nobody's only copy: a file that cannot be used, since it is damaged, of a
 * newer version or of another program, is set aside, the newest such file only, and a new one is made. Throws a `StoreError` when
 * the disk does not let it, or another process has it open.
 */
export function openMirror(file: string, maxBytes: number, onSetAside: SetAsideListener): OpenMirror {
  if (existsSync(markOf(file))) onSetAside(setAside(file), 'it was found damaged');
  try {
    return openFile(file, maxBytes);
  } catch (error) {
    const translated = translateSqliteError(error, file);
    if (!isHopeless(translated)) throw translated;
    onSetAside(setAside(file), messageOf(error));
    return openFile(file, maxBytes);
  }
}

/** Has the next process that opens the file set it aside. SQLite might open it without a word. */
export function markDamaged(file: string, what: string): void {
  writeFileSync(markOf(file), `${what}\n`);
}

function openFile(file: string, maxBytes: number): OpenMirror {
  try {
    closeSync(openSync(file, 'a', PRIVATE_MODE));
  } catch (error) {
    throw storeFailed(file, error as Error);
  }
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    requireOurs(database, file, MIRROR_SCHEMA);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF');
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY`);
    database.exec(`PRAGMA max_page_count = ${Math.floor(maxBytes / Number(pragma(database, 'page_size')))}`);
    migrate(database, file, MIRROR_SCHEMA);
    const statements = prepareMirrorStatements(database);
    // Reads all of an index: the first that would find it damaged.
    const counts = statements.counts.all() as unknown as CountsRow[];
    return { database, statements, counts };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Whether no later start with the same file would go better. */
function isHopeless(error: unknown): boolean {
  if (!(error instanceof StoreError)) return isSqliteError(error);
  return error.code === 'store_corrupt' || error.code === 'store_foreign';
}

function setAside(file: string): string {
  const aside = `${file}.set-aside`;
  rmSync(aside, { force: true });
  if (existsSync(file)) renameSync(file, aside);
  for (const other of [`${file}-wal`, `${file}-shm`, markOf(file)]) rmSync(other, { force: true });
  return aside;
}

function markOf(file: string): string {
  return `${file}.damaged`;
}
