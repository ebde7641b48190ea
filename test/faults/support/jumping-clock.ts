import { writeFileSync } from 'node:fs';
import { requirePrograms, run } from './programs.ts';
import { TempDirectory } from './temp-directory.ts';

/**
 * A wall clock of its own for one process, which jumps when a test says so. What time passes by (the monotonic clock, and with
 * it every timer) goes on as ever, as it does on a machine whose clock is set.
 */
export class JumpingClock implements Disposable {
  readonly #directory = new TempDirectory();
  readonly #library: string;

  constructor() {
    requirePrograms('faketime');
    this.#library = /^LD_PRELOAD=(.+)$/m.exec(run('faketime', '-f', '+0', 'env'))?.[1] ?? '';
    this.jump('+0');
  }

  /** For the process. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#directory.file('offset'),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_RESET: '1',
    };
  }

  /** From now on so far from the true time, such as `+400d`. */
  jump(offset: string): void {
    writeFileSync(this.#directory.file('offset'), `${offset}\n`);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}
