import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { requirePrograms, requireRoot, run } from './programs.ts';

/** xfs refuses less than 300 MiB. The file is sparse. */
const IMAGE_BYTES = 512 * 1024 ** 2;

/** How long a mount that is copied elsewhere is waited for, ms. */
const PATIENCE_MS = 30_000;
const POLL_MS = 5;

export type CuttableKind = 'xfs' | 'ext4';

/**
 * A file system in a file, whose power can be cut: what was not flushed by then is gone, as after a real cut, and
 * what asks for the disk gets an I/O error.
 */
export class CuttableFileSystem implements Disposable {
  readonly mountPoint: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-power-'));
  readonly #image = join(this.#directory, 'image');

  constructor(kind: CuttableKind) {
    requireRoot();
    requirePrograms('xfs_io', `mkfs.${kind}`, 'mount', 'losetup');
    this.mountPoint = join(this.#directory, 'mount');
    mkdirSync(this.mountPoint);
    writeFileSync(this.#image, '');
    truncateSync(this.#image, IMAGE_BYTES);
    run(`mkfs.${kind}`, '-q', this.#image);
    this.#mount();
  }

  /** From now on everything fails, until `restorePower`. */
  cutPower(): void {
    run('xfs_io', '-x', '-c', 'shutdown', this.mountPoint);
  }

  /** The machine starts again: the file system replays its own journal and is mounted. */
  async restorePower(): Promise<void> {
    run('umount', this.mountPoint);
    await this.#isGone();
    this.#mount();
  }

  [Symbol.dispose](): void {
    // Lazily: a test that failed may have left files open.
    run('umount', '--lazy', this.mountPoint);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /**
   * A container that starts just now has a copy of every mount for a moment, and with it the file system as it was cut
   * off. The loop device goes with the last of them.
   */
  async #isGone(): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (run('losetup', '--associated', this.#image) !== '') {
      if (performance.now() > deadlineMs) throw new Error(`another process holds a mount of ${this.#image}`);
      await delay(POLL_MS);
    }
  }

  #mount(): void {
    run('mount', '-o', 'loop', this.#image, this.mountPoint);
  }
}
