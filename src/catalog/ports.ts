import type { Clock } from '../kernel/clock.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What the catalog needs of an engine. */
export type CatalogDriver = Pick<
  RuntimeDriver,
  'info' | 'findImage' | 'listImages' | 'imageEvents' | 'create' | 'inspect' | 'list' | 'readFile' | 'remove'
>;

export interface CatalogDeps {
  readonly driver: CatalogDriver;
  readonly clock: Clock;
  readonly logger: Logger;
}
