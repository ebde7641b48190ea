import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { WriterProcess, type WriterOptions } from './writer-process.ts';
import type { WriterTask } from './store-writer.ts';

/** The store writer as one file, which starts in a third of the time: what is killed so often starts as often. */
export class WriterProgram implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-writer-'));
  readonly #file = join(this.#directory, 'store-writer.mjs');

  static async build(): Promise<WriterProgram> {
    const program = new WriterProgram();
    // Some tests run it as another user.
    chmodSync(program.#directory, 0o755);
    await build({
      entryPoints: [fileURLToPath(new URL('store-writer.ts', import.meta.url))],
      outfile: program.#file,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      logLevel: 'error',
    });
    return program;
  }

  start(task: WriterTask, options: WriterOptions = {}): WriterProcess {
    return new WriterProcess(this.#file, task, options);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
