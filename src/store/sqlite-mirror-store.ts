import { closeSync, existsSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import { StoreError, type JobQuery } from '../jobs/job-store.ts';
import type {
  ForgottenMark,
  MirrorChange,
  MirroredRecord,
  MirrorOwner,
  MirrorStore,
} from '../peers/replication/mirror-store.ts';
import { isSqliteError, storeFailed, translateSqliteError } from './failures.ts';
import {
  decodeOwner,
  decodeRecordRow,
  recordChecksum,
  type Facets,
  type OwnerRow,
  type RecordRow,
} from './mirror-row.ts';
import { MIRROR_APPLICATION_ID, MIRROR_MIGRATIONS } from './mirror-schema.ts';
import { mirrorListQuery, prepareMirrorStatements, type MirrorStatements } from './mirror-statements.ts';

export interface SqliteMirrorStoreOptions {
  readonly directory: string;
  /** What a list searches a record by; undefined for one that is not understood here, and not listed. */
  readonly facetsOf: (body: Uint8Array) => Facets | undefined;
  readonly wallMs: () => number;
  /** Called once. The disk has failed, or the file is damaged: the process must end. */
  readonly onFatal: (error: StoreError) => void;
  /** A record of this owner was damaged on the disk, and is gone. */
  readonly onDamage: (owner: NodeId) => void;
  /** The file could not be used and was set aside: the mirrors are fetched anew. */
  readonly onSetAside: (file: string, reason: string) => void;
}

interface OpenMirrors {
  readonly database: DatabaseSync;
  readonly statements: MirrorStatements;
  readonly counts: readonly { readonly owner: NodeId; readonly count: number }[];
}

/** Pages of the write-ahead log before it is worked into the file, 12 MiB. */
const CHECKPOINT_PAGES = 3072;

/**
 * The mirrors of other nodes' logs in one SQLite file, `mirror.db`. It holds nobody's only copy: a file that is damaged is set aside,
 * and its contents are fetched from the peers again.
 */
export class SqliteMirrorStore implements MirrorStore, Disposable {
  readonly #options: SqliteMirrorStoreOptions;
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #statements: MirrorStatements;
  readonly #counts = new Map<NodeId, number>();
  #hasFailed = false;

  /** Throws a StoreError that names the file when it cannot be used, however often it is made. */
  constructor(options: SqliteMirrorStoreOptions) {
    this.#options = options;
    this.#file = join(options.directory, 'mirror.db');
    const { database, statements, counts } = this.#open();
    this.#database = database;
    this.#statements = statements;
    for (const { owner, count } of counts) this.#counts.set(owner, count);
  }

  /**
   * It follows the wall clock in case the file was lost, in ms, since a node that ends because of a damaged file may be started
   * again, without it, within the second.
   */
  nextIncarnation(above: number): number {
    return this.#guard(() => {
      const known = this.#statements.incarnation.get() as { incarnation: number } | undefined;
      const next = Math.max(above + 1, (known?.incarnation ?? 0) + 1, Math.floor(this.#options.wallMs()));
      this.#durably(() => this.#statements.saveIncarnation.run(next));
      return next;
    });
  }

  owners(): MirrorOwner[] {
    return this.#guard(() => (this.#statements.owners.all() as unknown as OwnerRow[]).map(decodeOwner));
  }

  write(change: MirrorChange, isDurable: boolean): void {
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

  count(owner: NodeId): number {
    const known = this.#counts.get(owner);
    if (known !== undefined) return known;
    const { count } = this.#guard(() => this.#statements.count.get(owner)) as { count: number };
    this.#counts.set(owner, count);
    return count;
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

  compact(beforeMs: number): void {
    this.#guard(() => this.#statements.compact.run(beforeMs));
    this.#counts.clear();
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
    this.#statements.dropRow.run(id);
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
      const translated = translateSqliteError(error, this.#file);
      if (translated instanceof StoreError) this.#fail(translated);
      throw translated;
    }
  }

  #fail(error: StoreError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    // SQLite may open it again without a word: whoever opens it next is to know.
    if (error.code === 'store_corrupt') writeFileSync(this.#mark, `${messageOf(error)}\n`);
    this.#options.onFatal(error);
  }

  get #mark(): string {
    return `${this.#file}.damaged`;
  }

  #open(): OpenMirrors {
    if (existsSync(this.#mark)) this.#setAside('it was found damaged');
    try {
      return this.#openFile();
    } catch (error) {
      const translated = translateSqliteError(error, this.#file);
      const isHopeless = !(translated instanceof StoreError) || translated.code === 'store_corrupt';
      if (!isHopeless || !isSqliteError(error)) throw translated;
      this.#setAside(messageOf(error));
      return this.#openFile();
    }
  }

  #openFile(): OpenMirrors {
    try {
      closeSync(openSync(this.#file, 'a', 0o600));
    } catch (error) {
      throw storeFailed(this.#file, error as Error);
    }
    const database = new DatabaseSync(this.#file, { timeout: 0 });
    try {
      database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL',
      );
      database.exec(`PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      const { user_version: version } = database.prepare('PRAGMA user_version').get() as {
        user_version: number;
      };
      if (version > MIRROR_MIGRATIONS.length)
        throw new StoreError(
          'store_foreign',
          `${this.#file} was written by a newer version; upgrade this node`,
        );
      for (const [index, step] of MIRROR_MIGRATIONS.entries()) {
        if (index < version) continue;
        database.exec('BEGIN IMMEDIATE');
        database.exec(step);
        database.exec(`PRAGMA application_id = ${MIRROR_APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
        database.exec('COMMIT');
      }
      const statements = prepareMirrorStatements(database);
      // Reads all of an index: the first that would find it damaged.
      const counts = statements.counts.all() as unknown as OpenMirrors['counts'];
      return { database, statements, counts };
    } catch (error) {
      database.close();
      throw error;
    }
  }

  #setAside(reason: string): void {
    const aside = `${this.#file}.set-aside`;
    rmSync(aside, { force: true });
    if (existsSync(this.#file)) renameSync(this.#file, aside);
    for (const ending of ['-wal', '-shm', '.damaged']) rmSync(`${this.#file}${ending}`, { force: true });
    this.#options.onSetAside(aside, reason);
  }
}
