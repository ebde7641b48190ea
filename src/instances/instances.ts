import type { JobId } from '../kernel/ids.ts';
import type { InstanceTemplate } from './template.ts';

declare const brand: unique symbol;
/** The right of one connection to the instance it was led to. */
export type LeaseId = string & { readonly [brand]: 'LeaseId' };

/** Where an instance is reached from this host. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
}

export interface Lease {
  readonly id: LeaseId;
  /** The job whose container it is. */
  readonly job: JobId;
  readonly upstream: Upstream;
}

/**
 * What the front door asks of the rest of the node. All of it is plain data, so that the front door can live in a process
 * that has no way to the engine.
 */
export interface Instances {
  /**
   * An instance made as the template says, that runs and is ready: a new one, or for a shared one any with room. Where as many run
   * as may, the caller waits, in turn. Fails with an `InstanceError`, or with the signal's reason; what was begun for a caller who
   * left is ended.
   */
  acquire(template: InstanceTemplate, signal: AbortSignal): Promise<Lease>;
  /** The connection has ended. Twice is as once. */
  release(lease: LeaseId): void;
  /** Told of each lease whose instance is gone. Must not throw. */
  onLost(listener: (lease: LeaseId) => void): Disposable;
}
