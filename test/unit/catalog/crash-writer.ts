import { CatalogFile } from '../../../src/catalog/database/catalog-file.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';

/** Changes a database file for ever, and says the number of each change once it is made. */
const [file = ''] = process.argv.slice(2);
const catalog = new CatalogFile(file, { logger: SILENT_LOGGER, onChange: () => undefined });
await catalog.open();
for (let count = 1; ; count += 1) {
  await catalog.change(() => [{ id: 'a', image: 'a:1', description: String(count).padEnd(3000, ' ') }]);
  process.stdout.write(`${count}\n`);
}
