import { dirname, join } from 'node:path';
import { messageOf } from '../kernel/errors.ts';
import { StoreError } from '../jobs/job-store.ts';

/** Primary result codes (https://www.sqlite.org/rescode.html); the extended ones carry them in their low byte. */
const SQLITE_BUSY = 5;
const SQLITE_NOMEM = 7;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Whether SQLite itself said no, whatever the reason. */
export function isSqliteError(error: unknown): error is Error & { readonly errcode: number } {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number';
}

/**
 * A failure of disk or file in our words; anything else, a broken constraint for one, is given back as it is. `remedy` is what can be
 * done about a damaged file that is not the job store's.
 */
export function translateSqliteError(error: unknown, file: string, remedy?: string): unknown {
  if (!isSqliteError(error)) return error;
  const details = { file, sqlite_code: error.errcode };
  switch (error.errcode & 0xff) {
    case SQLITE_FULL:
      return storeFull(file, error);
    case SQLITE_BUSY:
      return new StoreError('store_locked', `${file} is open in another process`, { cause: error, details });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return storeCorrupt(file, messageOf(error), { cause: error, details, remedy });
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return storeFailed(file, error);
    case SQLITE_NOMEM:
      return storeFailed(file, error, 'the process is out of memory');
    case SQLITE_IOERR:
      return storeFailed(file, error, 'the disk failed: look at the system log');
    default:
      return error;
  }
}

/** Whether Node's file system functions said no. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

export function isOutOfSpace(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOSPC' || error.code === 'EDQUOT';
}

const FILE_REMEDY =
  'it must be a file that this user may read and write, in a folder that this user may write';

export function storeFailed(file: string, cause: Error, remedy = FILE_REMEDY): StoreError {
  const code = isSqliteError(cause) ? { sqlite_code: cause.errcode } : {};
  const details = { file, ...code };
  return new StoreError('store_failed', `${file} cannot be used: ${messageOf(cause)}; ${remedy}`, {
    cause,
    details,
  });
}

export function storeFull(file: string, cause?: unknown): StoreError {
  return new StoreError('store_full', `the disk is full: ${file} cannot grow`, {
    cause,
    details: isSqliteError(cause) ? { file, sqlite_code: cause.errcode } : { file },
    retryable: true,
    retryAfterMs: 5_000,
  });
}

/** What is damaged, and what can be done about it. Nothing is ever mended or made anew without being asked. */
export function storeCorrupt(
  file: string,
  what: string,
  options: { cause?: unknown; details?: Readonly<Record<string, unknown>>; remedy?: string | undefined } = {},
): StoreError {
  const all = join(dirname(file), 'jobs.*');
  const { remedy = `restore a backup, or move ${all} away to start with no jobs` } = options;
  return new StoreError('store_corrupt', `${file} is damaged: ${what}; ${remedy}`, {
    cause: options.cause,
    details: { file, ...options.details },
  });
}
