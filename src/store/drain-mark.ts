import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DrainMark } from '../jobs/node-drain.ts';
import { syncDirectory } from '../kernel/sync-directory.ts';

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
    syncDirectory(dirname(this.#file));
  }

  clear(): void {
    rmSync(this.#file, { force: true });
    syncDirectory(dirname(this.#file));
  }
}
