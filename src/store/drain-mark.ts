import { closeSync, existsSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DrainMark } from '../jobs/node-drain.ts';

/** A file in the data dir, whose being there is all it says. */
export class FileDrainMark implements DrainMark {
  readonly #file: string;

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'drained');
  }

  get isSet(): boolean {
    return existsSync(this.#file);
  }

  set(): void {
    closeSync(openSync(this.#file, 'w', 0o600));
    this.#sync();
  }

  clear(): void {
    rmSync(this.#file, { force: true });
    this.#sync();
  }

  /** A name is on disk only once its directory is. */
  #sync(): void {
    const descriptor = openSync(dirname(this.#file), 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }
}
