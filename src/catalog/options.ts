import type { LiveTestOptions } from './live-test/live-test.ts';

export interface CatalogOptions {
  /** The database file; made when it is not there. */
  readonly file: string;
  /** This node's id: marks the containers that a validation makes. */
  readonly owner: string;
  readonly discovery: DiscoveryOptions;
  readonly validation: ValidationOptions;
  readonly liveTest: LiveTestOptions;
}

export interface DiscoveryOptions {
  /** `startup`: once; `periodic`: then and once an interval; `manual`: only when asked. */
  readonly mode: 'startup' | 'manual' | 'periodic';
  readonly intervalMs: number;
  /** Whether a discovered controller goes with its image. */
  readonly removeMissing: boolean;
  /** Whether the images are looked at when the engine says that one came or went; in mode `manual` only to validate. */
  readonly followImages: boolean;
}

export interface ValidationOptions {
  readonly enabled: boolean;
  /** Whether a library without its procedure makes an entry invalid; otherwise it is a warning. */
  readonly verifySymbols: boolean;
  /** Whether a controller in whose library nothing is wrong is also started once. */
  readonly isLive: boolean;
}
