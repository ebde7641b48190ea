import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A place for a database file, which goes when it is disposed. */
export class TempCatalog implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cm-catalog-'));
  readonly file = join(this.directory, 'controllers.json');

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One log line: its facts, and what was said. */
export interface Line {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly message: string;
}
