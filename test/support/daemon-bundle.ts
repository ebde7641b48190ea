import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** What CommonJS parts of a bundle expect of their surroundings. */
const REQUIRE_BANNER =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); " +
  'const __filename = import.meta.filename; const __dirname = import.meta.dirname;';

/** The fault daemon as one file, which starts in a third of the time: what is killed a hundred times starts as often. */
export class DaemonBundle implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-bundle-'));
  readonly program = join(this.#directory, 'daemon.mjs');

  static async make(): Promise<DaemonBundle> {
    const bundle = new DaemonBundle();
    await build({
      entryPoints: [fileURLToPath(new URL('fault-daemon.ts', import.meta.url))],
      outfile: bundle.program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      // Optional native speed-ups of ssh, which is not used.
      external: ['cpu-features', '*.node'],
      banner: { js: REQUIRE_BANNER },
      logLevel: 'error',
    });
    return bundle;
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
