import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { failpoint } from '../kernel/failpoint.ts';
import { StoreError, type WriteKind, type WriteOptions } from '../jobs/job-store.ts';
import { isSqliteError, storeFull, translateSqliteError } from './failures.ts';

interface Entry {
  readonly kind: WriteKind;
  readonly operation: () => unknown;
  readonly onCommitted: ((result: unknown) => void) | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Set by a run of the operation. */
  result: unknown;
  error: { readonly thrown: unknown } | undefined;
}

/** Most operations in one transaction: bounds how long one commit holds up the event loop. */
export const MAX_BATCH = 512;
/** How often operations that must not be lost try again while the disk is full, ms. */
const FULL_RETRY_MS = 250;

export interface GroupCommitOptions {
  readonly file: string;
  /** Called before each COMMIT, inside the transaction. */
  readonly beforeCommit: () => void;
  /** Called after each COMMIT, before anybody hears of it. A StoreError it throws is the end, as a failed COMMIT is. */
  readonly afterCommit: () => void;
  /** Called when a batch was undone: what the operations kept in memory is void. */
  readonly afterRollback: () => void;
  /** Called when the disk is full; true when space was made and the batch may be tried again. */
  readonly makeSpace: () => boolean;
  /** Called once when the disk has failed; nothing is acknowledged from then on. */
  readonly onFatal: (error: StoreError) => void;
  readonly onBatch?: (seconds: number, count: number) => void;
}

/**
 * Many writers, one fsync: whatever is asked for in one turn of the event loop becomes one transaction. An operation may
 * run more than once: when one of them throws, all are undone, and run again so that it spoils no neighbour.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #options: GroupCommitOptions;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #savepoint: StatementSync;
  readonly #release: StatementSync;
  readonly #undo: StatementSync;
  #waiting: Entry[] = [];
  #isScheduled = false;
  #failure: StoreError | undefined;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(database: DatabaseSync, options: GroupCommitOptions) {
    this.#database = database;
    this.#options = options;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#savepoint = database.prepare('SAVEPOINT operation');
    this.#release = database.prepare('RELEASE operation');
    this.#undo = database.prepare('ROLLBACK TO operation');
  }

  /** See `JobStore.write`. */
  run<T>(operation: () => T, options: WriteOptions<T>): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    // What already waits for space is the node's own and bounded; who asks now is told, and may ask again.
    if (this.#retryTimer !== undefined && options.kind !== 'progress')
      return Promise.reject(storeFull(this.#options.file));
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({
        kind: options.kind,
        operation,
        onCommitted: options.onCommitted as Entry['onCommitted'],
        resolve: resolve as Entry['resolve'],
        reject,
        result: undefined,
        error: undefined,
      });
      this.#schedule();
    });
  }

  /** Commits what waits, and refuses everything from then on, also what the disk has no space for. */
  close(): void {
    for (let left = this.#waiting.length; left > 0 && this.#failure === undefined;) {
      this.#runBatch();
      if (this.#waiting.length >= left) break;
      left = this.#waiting.length;
    }
    clearTimeout(this.#retryTimer);
    this.#failure ??= new StoreError('store_failed', `${this.#options.file} is closed`);
    this.#rejectAll(this.#failure);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#retryTimer !== undefined) return;
    this.#isScheduled = true;
    // After the poll phase: every request read in this turn shares the commit.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#runBatch();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #runBatch(): void {
    let batch = this.#waiting.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    const startedMs = performance.now();
    const failure = this.#tryBatch(batch);
    if (failure !== undefined) {
      if (failure.code !== 'store_full') return this.#fail(failure, batch);
      batch = refuse(['admission'], batch, failure);
      if (batch.length === 0) return;
      const second = this.#options.makeSpace() ? this.#tryBatch(batch) : failure;
      if (second !== undefined && second.code !== 'store_full') return this.#fail(second, batch);
      if (second !== undefined) return this.#retryLater(batch, second);
    }
    this.#options.onBatch?.((performance.now() - startedMs) / 1000, batch.length);
    this.#settle(batch);
  }

  /** Undefined when the batch is on disk; otherwise why nothing of it is. */
  #tryBatch(batch: readonly Entry[]): StoreError | undefined {
    try {
      // A savepoint costs as much as what it guards, and next to none is ever needed.
      if (!this.#runTogether(batch)) this.#runApart(batch);
      this.#options.beforeCommit();
      failpoint('before-commit');
      this.#commit.run();
    } catch (error) {
      this.#rollBack();
      const translated = translateSqliteError(error, this.#options.file);
      if (translated instanceof StoreError) return translated;
      throw error;
    }
    failpoint('after-commit-before-ack');
    try {
      this.#options.afterCommit();
    } catch (error) {
      // What is on disk is not acknowledged: the next start finds it there.
      if (error instanceof StoreError) return error;
      throw error;
    }
    return undefined;
  }

  /** What failed is known already; that a failing disk cannot undo it either adds nothing. */
  #rollBack(): void {
    try {
      // SQLite may have rolled back by itself.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    } catch (error) {
      if (!isSqliteError(error)) throw error;
    }
    this.#options.afterRollback();
  }

  /** Runs everything in one transaction. False when an operation threw: then nothing of the others is left, either. */
  #runTogether(batch: readonly Entry[]): boolean {
    this.#begin.run();
    for (const entry of batch) {
      entry.error = undefined;
      try {
        entry.result = entry.operation();
      } catch (error) {
        this.#requireOwnFault(error);
        this.#rollBack();
        return false;
      }
    }
    return true;
  }

  /** Runs everything in one transaction, with a savepoint each: one that throws spoils no neighbour. */
  #runApart(batch: readonly Entry[]): void {
    this.#begin.run();
    for (const entry of batch) {
      this.#savepoint.run();
      try {
        entry.result = entry.operation();
      } catch (error) {
        this.#requireOwnFault(error);
        entry.error = { thrown: error };
        this.#undo.run();
      }
      this.#release.run();
    }
  }

  /** A failure of the disk is everybody's; a refusal is the operation's own. */
  #requireOwnFault(error: unknown): void {
    if (translateSqliteError(error, this.#options.file) instanceof StoreError) throw error;
  }

  #settle(batch: readonly Entry[]): void {
    for (const entry of batch) {
      if (entry.error === undefined) entry.onCommitted?.(entry.result);
    }
    for (const entry of batch) {
      if (entry.error === undefined) entry.resolve(entry.result);
      else entry.reject(entry.error.thrown);
    }
  }

  /** Only what has happened is kept, so that the queue stays as short as the work in hand. */
  #retryLater(batch: readonly Entry[], failure: StoreError): void {
    this.#waiting = refuse(['admission', 'request'], [...batch, ...this.#waiting], failure);
    if (this.#waiting.length === 0) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#schedule();
    }, FULL_RETRY_MS);
    this.#retryTimer.unref();
  }

  #fail(failure: StoreError, batch: readonly Entry[]): void {
    this.#failure = failure;
    this.#waiting = [...batch, ...this.#waiting];
    this.#rejectAll(failure);
    this.#options.onFatal(failure);
  }

  #rejectAll(error: StoreError): void {
    for (const entry of this.#waiting.splice(0)) entry.reject(error);
  }
}

/** Gives those of `kinds` the failure for an answer; the others are left. */
function refuse(kinds: readonly WriteKind[], entries: readonly Entry[], failure: StoreError): Entry[] {
  for (const entry of entries) if (kinds.includes(entry.kind)) entry.reject(failure);
  return entries.filter((entry) => !kinds.includes(entry.kind));
}
