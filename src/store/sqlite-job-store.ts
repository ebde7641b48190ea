import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { failpoint } from '../kernel/failpoint.ts';
import type { JobId } from '../kernel/ids.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import type { Job, JobEvent } from '../jobs/job.ts';
import type { OutboxStore, Placement } from '../jobs/placement/outbox-store.ts';
import {
  MAX_HISTORY,
  StoreError,
  type JobChangeRow,
  type JobQuery,
  type JobStore,
  type JobWriter,
  type Tombstone,
  type WriteOptions,
} from '../jobs/job-store.ts';
import { closeRefused, openDatabase, writeHolder } from './database.ts';
import { GroupCommit } from './group-commit.ts';
import {
  decodeEvent,
  decodeJob,
  decodeTombstone,
  isSealed,
  verifyEvent,
  verifyJob,
  verifyTombstone,
  type EventRow,
  type JobRow,
  type RowSource,
  type TombstoneRow,
} from './job-row.ts';
import { loadPosition, nextEpoch, savePosition, type LogPosition } from './log-position.ts';
import { decodePlacement, encodePlacement, type OutboxRow } from './outbox-row.ts';
import { Reserve } from './reserve.ts';
import { RowWriter } from './row-writer.ts';
import { isSystemError, storeFailed, storeFull, translateSqliteError } from './failures.ts';
import { listQuery, prepareStatements, type Statements } from './statements.ts';
import { Watermark } from './watermark.ts';

export interface SqliteJobStoreOptions {
  readonly directory: string;
  readonly box: SecretBox;
  /** Called once. The disk has failed: the process must end, and start again from what is on disk. */
  readonly onFatal: (error: StoreError) => void;
  readonly onBatch?: (seconds: number, count: number) => void;
}

/** The write-ahead log is given back to the file system above this. */
const MAX_WAL_BYTES = 16 * 1024 ** 2;
/** How often a node that refuses work for want of space looks again, ms. */
const SPACE_CHECK_MS = 1_000;

/** Jobs, their events and tombstones, and what is to be given to other nodes, in one SQLite file, `jobs.db`. The only writer and the only reader. */
export class SqliteJobStore implements JobStore, OutboxStore, Disposable {
  readonly #source: RowSource;
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #writer: RowWriter;
  readonly #commits: GroupCommit;
  readonly #watermark: Watermark;
  readonly #reserve: Reserve;
  readonly #onFatal: (error: StoreError) => void;
  readonly #rollbackListeners: (() => void)[] = [];
  /** What is on disk, and what the transaction in hand has made of it. */
  #committed: LogPosition;
  #position: LogPosition;
  #hasFailed = false;
  #lastSpaceCheckMs = Number.NEGATIVE_INFINITY;

  /** Opens and verifies everything, every row included. Throws a StoreError that names the file, and holds nothing then. */
  constructor(options: SqliteJobStoreOptions) {
    const file = join(options.directory, 'jobs.db');
    this.#source = { file, box: options.box };
    this.#onFatal = options.onFatal;
    this.#database = openDatabase(file);
    using opened = new DisposableStack();
    try {
      writeHolder(file);
      this.#statements = prepareStatements(this.#database);
      this.#watermark = opened.use(new Watermark(join(options.directory, 'jobs.watermark')));
      this.#committed = this.#position = this.#startPosition();
      this.#verifyRows();
      this.#reserve = new Reserve(join(options.directory, 'reserve'));
      this.#reserve.take();
    } catch (error) {
      const refusal = isSystemError(error)
        ? storeFailed(options.directory, error)
        : translateSqliteError(error, file);
      closeRefused(this.#database, file, refusal);
      throw refusal;
    }
    opened.move();
    this.#writer = new RowWriter(this.#statements, this.#source, () => this.#nextSeq());
    this.#commits = this.#groupCommit(options.onBatch);
  }

  get epoch(): number {
    return this.#committed.epoch;
  }

  get lastSeq(): number {
    return this.#committed.seq;
  }

  /** False while nothing new is admitted for want of space. */
  get hasSpace(): boolean {
    return this.#reserve.isHeld || this.#tryReserve();
  }

  write<T>(operation: (writer: JobWriter) => T, options: WriteOptions<T>): Promise<T> {
    if (options.kind === 'admission' && !this.hasSpace) return Promise.reject(storeFull(this.#source.file));
    return this.#commits.run(() => this.#keepingPosition(() => operation(this.#writer)), options);
  }

  onRollback(listener: () => void): void {
    this.#rollbackListeners.push(listener);
  }

  job(id: JobId): Job | undefined {
    return this.#read(() => {
      const row = this.#statements.job.get(id) as JobRow | undefined;
      return row === undefined ? undefined : decodeJob(row, this.#source);
    });
  }

  tombstone(id: JobId): Tombstone | undefined {
    return this.#read(() => {
      const row = this.#statements.tombstone.get(id) as TombstoneRow | undefined;
      return row === undefined ? undefined : decodeTombstone(row, this.#source);
    });
  }

  unfinishedJobs(): Job[] {
    return this.#read(() => this.#jobsOf(this.#statements.unfinished.all()));
  }

  jobs(query: JobQuery): Job[] {
    const { sql, values } = listQuery(query);
    return this.#read(() => this.#jobsOf(this.#database.prepare(sql).all(...values)));
  }

  history(id: JobId): JobEvent[] {
    return this.#read(() => this.#eventsOf(this.#statements.history.all(id, MAX_HISTORY)).reverse());
  }

  eventsAfter(seq: number, limit: number): JobEvent[] {
    return this.#read(() => this.#eventsOf(this.#statements.eventsAfter.all(seq, limit)));
  }

  changesAfter(seq: number, limit: number): JobChangeRow[] {
    type Row = { change_seq: number; change_job: JobId } & (JobRow | { id: null });
    return this.#read(() => {
      const rows = this.#statements.changesAfter.all(seq, limit) as unknown as Row[];
      return rows.map(({ change_seq, change_job, ...row }) => ({
        id: change_job,
        seq: change_seq,
        job: row.id === null ? undefined : decodeJob(row, this.#source),
      }));
    });
  }

  places(): Iterable<{ readonly id: JobId; readonly seq: number }> {
    return this.#statements.places.iterate() as Iterable<unknown> as Iterable<{ id: JobId; seq: number }>;
  }

  async openEpoch(above: number): Promise<void> {
    const begin = (): void => {
      this.#position = { ...this.#position, epoch: nextEpoch(Math.max(above, this.#position.epoch)) };
    };
    await this.#commits.run(() => this.#keepingPosition(begin), { kind: 'progress' });
  }

  placements(): Placement[] {
    return this.#read(() => this.#placements());
  }

  async savePlacement(placement: Placement): Promise<void> {
    const { id, target, created_at, wish, request, checksum } = encodePlacement(placement, this.#source);
    const save = (): void =>
      void this.#statements.savePlacement.run(id, target, created_at, wish, request, checksum);
    await this.write(save, { kind: wish === 'run' ? 'admission' : 'request' });
  }

  async dropPlacement(id: JobId): Promise<void> {
    await this.write(() => void this.#statements.dropPlacement.run(id), { kind: 'progress' });
  }

  eventFloor(): number {
    return this.#committed.eventFloor;
  }

  expiredJobs(nowMs: number, keepCount: number, limit: number): JobId[] {
    return this.#read(() => {
      const expired = this.#statements.expired.all(nowMs, limit) as { id: JobId }[];
      const { count } = this.#statements.countEnded.get() as { count: number };
      const excess = Math.min(limit, count - keepCount);
      const oldest = excess > 0 ? (this.#statements.oldestEnded.all(excess) as { id: JobId }[]) : [];
      return [...new Set([...expired, ...oldest].map((row) => row.id))].slice(0, limit);
    });
  }

  async compact(beforeMs: number): Promise<void> {
    await this.#commits.run(() => this.#keepingPosition(() => this.#forget(beforeMs)), { kind: 'progress' });
    if ((statSync(`${this.#source.file}-wal`, { throwIfNoEntry: false })?.size ?? 0) < MAX_WAL_BYTES) return;
    try {
      this.#read(() => this.#checkpoint());
    } catch (error) {
      // The log stays as long as it is until there is space; nothing of it is lost.
      if (!(error instanceof StoreError && error.code === 'store_full')) throw error;
    }
  }

  /** Commits what waits and closes the file. */
  [Symbol.dispose](): void {
    if (!this.#database.isOpen) return;
    try {
      this.#commits.close();
    } finally {
      this.#database.close();
      this.#watermark[Symbol.dispose]();
    }
  }

  #groupCommit(onBatch: SqliteJobStoreOptions['onBatch']): GroupCommit {
    return new GroupCommit(this.#database, {
      file: this.#source.file,
      beforeCommit: () => {
        this.#writer.flush();
        savePosition(this.#statements, this.#position);
      },
      afterCommit: () => {
        this.#committed = this.#position;
        this.#watermark.advance(this.#committed);
      },
      afterRollback: () => {
        this.#position = this.#committed;
        this.#writer.forgetAfter(0);
        for (const listener of this.#rollbackListeners) listener();
      },
      makeSpace: () => this.#reserve.release(),
      onFatal: (error) => this.#fail(error),
      ...(onBatch === undefined ? {} : { onBatch }),
    });
  }

  /**
   * Where the log goes on. A life of the store begins when it is made, and when the watermark is gone, since that is
   * how a loss is accepted.
   */
  #startPosition(): LogPosition {
    const found = loadPosition(this.#database, this.#statements, this.#source.file);
    const known = found ?? { epoch: 0, seq: 0, eventFloor: 0 };
    this.#watermark.check(known, this.#source.file);
    if (found !== undefined && !this.#watermark.isNew) return found;
    const begun = { ...known, epoch: nextEpoch(known.epoch) };
    savePosition(this.#statements, begun);
    return begun;
  }

  #nextSeq(): number {
    this.#position = { ...this.#position, seq: this.#position.seq + 1 };
    return this.#position.seq;
  }

  /** An operation that throws leaves no gap in the log, and nothing to be written. */
  #keepingPosition<T>(operation: () => T): T {
    const before = this.#position;
    const { changeCount } = this.#writer;
    try {
      return operation();
    } catch (error) {
      this.#position = before;
      this.#writer.forgetAfter(changeCount);
      throw error;
    }
  }

  #forget(beforeMs: number): void {
    const floor = this.#statements.tombstoneFloor.get(beforeMs) as { seq: number | null };
    if (floor.seq === null) return;
    this.#statements.forgetRemovals.run(beforeMs);
    this.#statements.forgetTombstones.run(beforeMs);
    this.#position = { ...this.#position, eventFloor: Math.max(this.#position.eventFloor, floor.seq) };
  }

  #checkpoint(): void {
    this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    failpoint('mid-checkpoint');
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  #jobsOf(rows: readonly Record<string, SQLOutputValue>[]): Job[] {
    return rows.map((row) => decodeJob(row as unknown as JobRow, this.#source));
  }

  #placements(): Placement[] {
    return this.#statements.outbox
      .all()
      .map((row) => decodePlacement(row as unknown as OutboxRow, this.#source));
  }

  #eventsOf(rows: readonly Record<string, SQLOutputValue>[]): JobEvent[] {
    return rows.map((row) => decodeEvent(row as unknown as EventRow, this.#source));
  }

  /** A read that the disk fails, or that finds damage, is the end of this process as a write is. */
  #read<T>(query: () => T): T {
    try {
      return query();
    } catch (error) {
      const translated = translateSqliteError(error, this.#source.file);
      if (translated instanceof StoreError && translated.code !== 'store_full') this.#fail(translated);
      throw translated;
    }
  }

  #fail(error: StoreError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#onFatal(error);
  }

  #tryReserve(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#lastSpaceCheckMs < SPACE_CHECK_MS) return false;
    this.#lastSpaceCheckMs = nowMs;
    try {
      return this.#reserve.take();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#fail(error);
      return false;
    }
  }

  /** Reads every row once, so that damage is found at the start and not when the row is needed. */
  #verifyRows(): void {
    let hasTriedKey = false;
    for (const row of this.#statements.allJobs.iterate() as Iterable<unknown> as Iterable<JobRow>) {
      verifyJob(row, this.#source);
      // One that opens shows that the key is the right one; opening all of them takes long.
      if (hasTriedKey || !isSealed(row)) continue;
      decodeJob(row, this.#source);
      hasTriedKey = true;
    }
    for (const row of this.#statements.allEvents.iterate() as Iterable<unknown> as Iterable<EventRow>)
      verifyEvent(row, this.#source);
    for (const row of this.#statements.allTombstones.iterate() as Iterable<unknown> as Iterable<TombstoneRow>)
      verifyTombstone(row, this.#source);
    // There are few, and each of them is opened soon anyway.
    this.#placements();
  }
}
