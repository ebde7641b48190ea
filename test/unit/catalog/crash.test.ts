import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CatalogFile } from '../../../src/catalog/database/catalog-file.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { TempCatalog } from './temp-catalog.ts';

const KILLS = 6;
const SEED = 7;
const MOST_CHANGES = 20;

/** Runs a process that changes the file over and over, kills it after so many changes, and says how many it told of. */
async function writeUntilKilled(file: string, changes: number): Promise<number> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'crash-writer.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const data of writer.stdout as AsyncIterable<Buffer>) {
    output += data.toString();
    // The next change is under way by now.
    if (output.split('\n').length > changes) writer.kill('SIGKILL');
  }
  if (writer.signalCode === null) await once(writer, 'exit');
  return Number(output.trimEnd().split('\n').at(-1));
}

it('a node that is killed while it writes leaves the file whole, with every change that it told of', async () => {
  using temp = new TempCatalog();
  const random = seededRandom(SEED);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const told = await writeUntilKilled(temp.file, 1 + Math.floor(random() * MOST_CHANGES));
    expect(told).toBeGreaterThan(0);
    const whole = JSON.parse(readFileSync(temp.file, 'utf8')) as { controllers: { description: string }[] };
    expect(Number(whole.controllers[0]?.description)).toBeGreaterThanOrEqual(told);
    const catalog = new CatalogFile(temp.file, { logger: SILENT_LOGGER, onChange: () => undefined });
    await catalog.open();
    await catalog.change((records) => [...records, { id: 'b', image: 'b:1' }]);
    expect(catalog.current.controllers.map(({ id }) => id)).toEqual(['a', 'b']);
  }
});
