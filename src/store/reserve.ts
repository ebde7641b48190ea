import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { isOutOfSpace, isSystemError, storeFailed } from './failures.ts';

/** Enough for some thousand job changes: what is in hand can be recorded on a full disk. */
export const RESERVE_BYTES = 4 * 1024 ** 2;
const BLOCK_BYTES = 256 * 1024;

/**
 * A file that is only there to be given back: on a full disk SQLite cannot even delete, so the last space is ours.
 * While it is missing nothing new is admitted.
 */
export class Reserve {
  readonly #file: string;
  #isHeld = false;

  constructor(file: string) {
    this.#file = file;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /**
   * Takes the space, or tries to; true when it is held. Real blocks: a sparse file would reserve nothing. Throws
   * `store_failed` when something else than space is missing.
   */
  take(): boolean {
    try {
      if (statSync(this.#file, { throwIfNoEntry: false })?.size !== RESERVE_BYTES) this.#fill();
      this.#isHeld = true;
    } catch (error) {
      this.release();
      if (isSystemError(error) && !isOutOfSpace(error)) throw storeFailed(this.#file, error);
    }
    return this.#isHeld;
  }

  /** True when there was something to give. */
  release(): boolean {
    const wasHeld = this.#isHeld;
    this.#isHeld = false;
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // A disk that cannot even do this has given nothing back; the write that needs the space will tell.
      return false;
    }
    return wasHeld;
  }

  #fill(): void {
    const block = Buffer.alloc(BLOCK_BYTES, 0x5a);
    const descriptor = openSync(this.#file, 'w', 0o600);
    try {
      for (let offset = 0; offset < RESERVE_BYTES; offset += BLOCK_BYTES) {
        if (writeSync(descriptor, block, 0, BLOCK_BYTES, offset) < BLOCK_BYTES)
          throw new Error('short write');
      }
    } finally {
      closeSync(descriptor);
    }
  }
}
