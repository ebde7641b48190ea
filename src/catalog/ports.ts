import type { Clock } from '../kernel/clock.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What the catalog needs of an engine. */
export type CatalogDriver = Pick<
  RuntimeDriver,
  | 'info'
  | 'findImage'
  | 'listImages'
  | 'imageEvents'
  | 'create'
  | 'start'
  | 'inspect'
  | 'logs'
  | 'list'
  | 'readFile'
  | 'remove'
>;

export interface CatalogDeps {
  readonly driver: CatalogDriver;
  /** Resolves while the engine answers, or when it does again: where somebody asks for all whether it is back. */
  readonly whenAvailable?: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}
