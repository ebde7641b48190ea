import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { LiveTestOptions } from '../../src/catalog/live-test/live-test.ts';
import type { CatalogOptions } from '../../src/catalog/options.ts';
import type { ControllerRecord } from '../../src/catalog/controller.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { SILENT_LOGGER } from '../../src/telemetry/logger.ts';
import { FakeDriver } from './fake-driver.ts';

/** In the network of the engine's containers, with little patience. */
export const LIVE_TEST: LiveTestOptions = {
  ...{ network: 'none', memoryBytes: 64 * 1024 ** 2, cpus: 1, pids: 64 },
  ...{ startTimeoutMs: 2_000, answerTimeoutMs: 1_000 },
};

/** A catalog of what the file holds, over a fake engine. It looks at nothing until it is started. */
export function catalogOf(
  file: string,
  driver = new FakeDriver(),
  changes: Partial<CatalogOptions> = {},
): Catalog {
  return new Catalog(
    {
      file,
      owner: 'node',
      discovery: { mode: 'manual', intervalMs: 60_000, removeMissing: false, followImages: false },
      validation: { enabled: false, verifySymbols: false, isLive: false },
      liveTest: LIVE_TEST,
      ...changes,
    },
    { driver, clock: systemClock, logger: SILENT_LOGGER },
  );
}

/** The same with a file of its own, which goes with it. */
export class TestCatalog implements AsyncDisposable {
  readonly catalog: Catalog;
  readonly driver = new FakeDriver();
  readonly file: string;
  readonly #directory: string;

  private constructor(text: string, changes: Partial<CatalogOptions>) {
    this.#directory = mkdtempSync(join(tmpdir(), 'cm-catalog-'));
    this.file = join(this.#directory, 'controllers.json');
    writeFileSync(this.file, text);
    this.catalog = catalogOf(this.file, this.driver, changes);
  }

  static async start(
    records: readonly ControllerRecord[],
    changes: Partial<CatalogOptions> = {},
  ): Promise<TestCatalog> {
    const test = new TestCatalog(JSON.stringify({ controllers: records }), changes);
    await test.catalog.start();
    return test;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.catalog.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
