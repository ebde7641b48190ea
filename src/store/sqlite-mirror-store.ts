import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import { StoreError, type JobQuery } from '../jobs/job-store.ts';
import {
  hasNoRoom,
  type ForgottenMark,
  type MirrorChange,
  type MirroredRecord,
  type MirrorOwner,
  type MirrorStore,
  type RecordCounts,
} from '../peers/replication/mirror-store.ts';
import { storeFull, translateSqliteError } from './failures.ts';
import {
  decodeOwner,
  decodeRecordRow,
  recordChecksum,
  type Facets,
  type OwnerRow,
  type RecordRow,
} from './mirror-row.ts';
import { mirrorListQuery, type MirrorStatements } from './mirror-statements.ts';
import { markDamaged, openMirror, type CountsRow, type SetAsideListener } from './open-mirror.ts';

export interface SqliteMirrorStoreOptions {
  readonly directory: string;
  /** What a list searches a record by; undefined for one that is not understood here, and not listed. */
  readonly facetsOf: (body: Uint8Array) => Facets | undefined;
  readonly wallMs: () => number;
  /** False while what is left of the disk is for the node's own jobs. */
  readonly hasSpace: () => boolean;
  /** Called once. The disk has failed, or the file is damaged: the process must end. */
  readonly onFatal: (error: StoreError) => void;
  /** A record of this owner was damaged on the disk, and is gone. */
  readonly onDamage: (owner: NodeId) => void;
  /** The file could not be used and was set aside: the mirrors are fetched anew. */
  readonly onSetAside: SetAsideListener;
  readonly maxBytes?: number;
}

/** Most bytes that mirrors may take on the disk, 8 GiB: some 7 million jobs. What goes beyond has no room. */
const MAX_BYTES = 8 * 1024 ** 3;
const REMEDY = 'start the node again: it is set aside, and fetched anew from the peers';

/**
 * The mirrors of other nodes' logs in one SQLite file, `mirror.db`. It holds nobody's only copy: a file that is damaged is set aside,
 * and its contents are fetched from the peers again.
 */
export class SqliteMirrorStore implements MirrorStore, Disposable {
  readonly #options: SqliteMirrorStoreOptions;
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #statements: MirrorStatements;
  readonly #counts = new Map<NodeId, RecordCounts>();
  #hasFailed = false;

  /** Throws a StoreError that names the file when it cannot be used, however often it is made. */
  constructor(options: SqliteMirrorStoreOptions) {
    this.#options = options;
    this.#file = join(options.directory, 'mirror.db');
    const { maxBytes = MAX_BYTES, onSetAside } = options;
    const { database, statements, counts } = openMirror(this.#file, maxBytes, onSetAside);
    this.#database = database;
    this.#statements = statements;
    for (const row of counts) this.#counts.set(row.owner as NodeId, countsOf(row));
  }

  /**
   * It follows the wall clock in case the file was lost, in ms, since a node that ends because of a damaged file may be started
   * again, without it, within the second.
   */
  nextIncarnation(above: number): number {
    type Row = { incarnation: number } | undefined;
    const known = this.#guard(() => this.#statements.incarnation.get() as Row);
    const next = Math.max(above + 1, (known?.incarnation ?? 0) + 1, Math.floor(this.#options.wallMs()));
    this.#unlessFull(() => this.#durably(() => this.#statements.saveIncarnation.run(next)));
    return next;
  }

  owners(): MirrorOwner[] {
    return this.#guard(() => (this.#statements.owners.all() as unknown as OwnerRow[]).map(decodeOwner));
  }

  write(change: MirrorChange, isDurable: boolean): void {
    if (change.put.length > 0 && !this.#options.hasSpace()) throw storeFull(this.#file);
    this.#guard(() => {
      const write = (): void => this.#write(change);
      if (isDurable) this.#durably(write);
      else this.#transaction(write);
    });
    if (change.put.length > 0 || change.drop.length > 0) this.#counts.delete(change.owner.owner);
  }

  record(owner: NodeId, key: string): MirroredRecord | undefined {
    return this.#records(() => this.#statements.record.all(key, owner))[0];
  }

  recordsOf(key: string): MirroredRecord[] {
    return this.#records(() => this.#statements.recordsOf.all(key));
  }

  recordsAfter(owner: NodeId, epoch: number, seq: number, limit: number): MirroredRecord[] {
    return this.#records(() => this.#statements.recordsAfter.all(owner, epoch, seq, limit));
  }

  /** Newest first, of all owners or of one; only what is understood. */
  list(query: JobQuery & { readonly owner?: NodeId }): MirroredRecord[] {
    const { sql, values } = mirrorListQuery(query);
    return this.#records(() => this.#database.prepare(sql).all(...values));
  }

  keysUpTo(owner: NodeId, epoch: number, upTo: number): string[] {
    return this.#guard(() => {
      const rows = this.#statements.keysUpTo.all(owner, epoch, epoch, upTo) as { key: string }[];
      return rows.map(({ key }) => key);
    });
  }

  count(owner: NodeId): RecordCounts {
    const known = this.#counts.get(owner);
    if (known !== undefined) return known;
    const row = this.#guard(() => this.#statements.count.get(owner)) as CountsRow | undefined;
    const counts = countsOf(row ?? { total: 0, removed: 0 });
    this.#counts.set(owner, counts);
    return counts;
  }

  forget(owner: NodeId): void {
    this.#guard(() =>
      this.#durably(() => {
        this.#statements.forgetRecords.run(owner);
        this.#statements.forgetOwner.run(owner);
      }),
    );
    this.#counts.delete(owner);
  }

  forgotten(): ForgottenMark[] {
    type Row = Omit<ForgottenMark, 'atMs'> & { at: number };
    return this.#guard(() =>
      (this.#statements.forgotten.all() as unknown as Row[]).map(({ at, ...mark }) => ({
        ...mark,
        atMs: at,
      })),
    );
  }

  saveForgotten(marks: readonly ForgottenMark[]): void {
    this.#guard(() =>
      this.#durably(() => {
        this.#statements.dropForgotten.run();
        for (const { owner, epoch, incarnation, tick, atMs } of marks)
          this.#statements.saveForgotten.run(owner, epoch, incarnation, tick, atMs);
      }),
    );
  }

  compact(owner: NodeId, beforeMs: number, limit: number): number {
    const { changes } = this.#guard(() => this.#statements.compact.run(owner, beforeMs, limit));
    if (changes !== 0) this.#counts.delete(owner);
    return Number(changes);
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #write({ owner, put, drop }: MirrorChange): void {
    const { saveOwner, saveRecord, dropRecord } = this.#statements;
    const { id } = saveOwner.get(
      owner.owner, owner.epoch, owner.upTo, JSON.stringify(owner.spans), owner.digest, owner.newest.bytes,
      owner.newest.signature, owner.former?.bytes ?? null, owner.former?.signature ?? null, owner.heardAtMs,
    ) as { id: number }; // prettier-ignore
    const nowMs = this.#options.wallMs();
    for (const record of put) {
      const { key, epoch, seq, body, proof } = record;
      const facets = body === undefined ? undefined : this.#options.facetsOf(body);
      saveRecord.run(
        id, key, epoch, seq, body ?? null, proof, facets?.state ?? null, facets?.name ?? null,
        facets?.createdAtMs ?? null, nowMs, recordChecksum(record),
      ); // prettier-ignore
    }
    for (const key of drop) dropRecord.run(key, id);
  }

  #records(query: () => unknown[]): MirroredRecord[] {
    return this.#guard(() => {
      const rows = query() as RecordRow[];
      return rows.flatMap((row) => decodeRecordRow(row) ?? this.#dropDamaged(row));
    });
  }

  #dropDamaged({ id, owner }: RecordRow): [] {
    // Without room for that it is found again.
    this.#unlessFull(() => this.#statements.dropRow.run(id));
    this.#counts.delete(owner as NodeId);
    // Not within the read of somebody who is in the middle of a change.
    setImmediate(() => this.#options.onDamage(owner as NodeId));
    return [];
  }

  #transaction(work: () => void): void {
    this.#statements.begin.run();
    try {
      work();
      this.#statements.commit.run();
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** The commit flushes the log, and with it all that was committed before. */
  #durably(work: () => void): void {
    this.#database.exec('PRAGMA synchronous = FULL');
    try {
      this.#transaction(work);
    } finally {
      this.#database.exec('PRAGMA synchronous = NORMAL');
    }
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const translated = translateSqliteError(error, this.#file, REMEDY);
      // What is not kept is fetched again when there is room.
      if (translated instanceof StoreError && !hasNoRoom(translated)) this.#fail(translated);
      throw translated;
    }
  }

  #unlessFull(work: () => void): void {
    try {
      this.#guard(work);
    } catch (error) {
      if (!hasNoRoom(error)) throw error;
    }
  }

  #fail(error: StoreError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    try {
      if (error.code === 'store_corrupt') markDamaged(this.#file, messageOf(error));
    } catch {
      // On the disk that failed: the next process finds the damage by itself, or again while it runs.
    }
    this.#options.onFatal(error);
  }
}

function countsOf({ total, removed }: Omit<CountsRow, 'owner'>): RecordCounts {
  return { live: total - removed, removed };
}
