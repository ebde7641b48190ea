import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { JobSpec } from '../spec.ts';

/** What is wanted of the node that a job is placed on. */
export type PlacementWish = 'run' | 'end' | 'remove';

/** A job that is given to a node which has not answered for good yet. */
export interface Placement {
  readonly id: JobId;
  readonly target: NodeId;
  readonly createdAtMs: number;
  readonly wish: PlacementWish;
  readonly request: PlacedRequest;
}

/** A Create as it goes to the node that is to run the job. */
export interface PlacedRequest {
  readonly spec: JobSpec;
  /** Who asked; the names of tokens are the same on all nodes. */
  readonly caller: string;
  readonly idempotencyKey: string | undefined;
  readonly parent?: JobId;
}

/** Where placements are kept until they are answered, over restarts. */
export interface OutboxStore {
  /** Oldest first. */
  placements(): Placement[];
  /** In place of one with the same id. Resolves when it is durable; fails with a `StoreError` `store_full`. */
  savePlacement(placement: Placement): Promise<void>;
  /** One that is gone already is fine. Resolves when it is durable; waits for space on a full disk. */
  dropPlacement(id: JobId): Promise<void>;
}
