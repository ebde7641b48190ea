import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireRoot, run } from './programs.ts';

const CHUNK_BYTES = 64 * 1024;

/** A disk of a few MiB, in memory, which can be filled to the last byte. */
export class SmallDisk implements Disposable {
  readonly mountPoint = mkdtempSync(join(tmpdir(), 'cm-disk-'));
  readonly #filler = join(this.mountPoint, 'filler');

  constructor(sizeBytes: number) {
    requireRoot();
    run('mount', '-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', this.mountPoint);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.mountPoint);
    return bavail * bsize;
  }

  /** Takes all the space there is. */
  fill(): void {
    const descriptor = openSync(this.#filler, 'a');
    try {
      for (let size = CHUNK_BYTES; size >= 1;) {
        if (!tryWrite(descriptor, size)) size = Math.floor(size / 2);
      }
    } finally {
      closeSync(descriptor);
    }
    if (this.freeBytes !== 0) throw new Error(`${this.freeBytes} bytes are still free`);
  }

  /** Gives back what `fill` took. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  [Symbol.dispose](): void {
    // Lazily: a test that failed may have left files open.
    run('umount', '--lazy', this.mountPoint);
    rmdirSync(this.mountPoint);
  }
}

function tryWrite(descriptor: number, size: number): boolean {
  try {
    return writeSync(descriptor, Buffer.alloc(size, 0x66)) > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    return false;
  }
}
