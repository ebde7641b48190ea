import { closeSync, constants, existsSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { StoreError } from '../jobs/job-store.ts';
import { isOutOfSpace, isSystemError, storeFailed } from './failures.ts';

/** `epoch u48 | seq u48 | crc32 u32`, big endian. */
const RECORD_BYTES = 16;

export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/**
 * How far the log has come, kept beside the store and written after each COMMIT. SQLite takes a damaged end of its
 * write-ahead log for one that was never finished and drops it without a word; a store that is behind its watermark
 * has lost what was acknowledged. Never flushed: after a power cut it may be behind, which proves nothing.
 */
export class Watermark implements Disposable {
  /** True when there was none: the store is new, or somebody accepted a loss by removing it. */
  readonly isNew: boolean;
  readonly #file: string;
  readonly #descriptor: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);

  /** Throws `store_failed` when the file cannot be used. */
  constructor(file: string) {
    this.#file = file;
    this.isNew = !existsSync(file);
    try {
      this.#descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (error) {
      throw isSystemError(error) ? storeFailed(file, error) : error;
    }
  }

  /** Throws `store_corrupt` when the store's log ends before what was last acknowledged. */
  check(position: Position, storeFile: string): void {
    const known = this.#read();
    if (known === undefined || known.epoch < position.epoch) return;
    if (known.epoch === position.epoch && known.seq <= position.seq) return;
    throw new StoreError(
      'store_corrupt',
      `${storeFile} has lost changes: it ends at ${position.epoch}-${position.seq}, but ${known.epoch}-${known.seq} ` +
        `was acknowledged; restore a backup, or remove ${this.#file} to go on with what is there`,
      { details: { file: storeFile, found: position.seq, expected: known.seq } },
    );
  }

  /** Throws `store_failed` when the disk fails. */
  advance(position: Position): void {
    this.#record.writeUIntBE(position.epoch, 0, 6);
    this.#record.writeUIntBE(position.seq, 6, 6);
    this.#record.writeUInt32BE(crc32(this.#record.subarray(0, 12)), 12);
    try {
      writeSync(this.#descriptor, this.#record, 0, RECORD_BYTES, 0);
    } catch (error) {
      // On a full disk it stays behind, which proves nothing either.
      if (!isSystemError(error)) throw error;
      if (!isOutOfSpace(error))
        throw storeFailed(this.#file, error, 'the disk failed: look at the system log');
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #read(): Position | undefined {
    const record = Buffer.alloc(RECORD_BYTES);
    if (readSync(this.#descriptor, record, 0, RECORD_BYTES, 0) < RECORD_BYTES) return undefined;
    if (crc32(record.subarray(0, 12)) !== record.readUInt32BE(12)) return undefined;
    return { epoch: record.readUIntBE(0, 6), seq: record.readUIntBE(6, 6) };
  }
}
