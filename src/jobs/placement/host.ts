import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { Job } from '../job.ts';
import type { SpecQuestion } from './fingerprint.ts';
import type { PlacedRequest } from './outbox-store.ts';
import type { Bid } from './rank-bids.ts';

/**
 * What other nodes ask of one that may run their jobs. Each may be asked again when its answer was lost. While this node's own jobs
 * are not known yet, all but `claim` fail with `peer_unreachable`: it is as one that is not back yet.
 */
export interface PlacementHost {
  bid(image: string, signal: AbortSignal): Promise<Bid>;
  /** Takes the job as its own. Fails as `Jobs.create` does. */
  accept(id: JobId, request: PlacedRequest): Promise<{ job: Job; deduplicated: boolean }>;
  /** Ends a job whatever its state is. Resolves with the job when it has ended; without one when it is not there. */
  end(id: JobId, how: EndOptions, signal: AbortSignal): Promise<Job | undefined>;
  claim(claim: Claim, from: NodeId, signal: AbortSignal): Promise<ClaimAnswer>;
}

export interface EndOptions {
  /** Forgets the job when it has ended, and does not wait for a stop that takes its time. */
  readonly removes: boolean;
  /** How long a stop may take before SIGKILL; as the job says where it is not given. */
  readonly graceMs?: number;
}

/** A node is asked to accept a job of this id, which follows from its idempotency key, and asks who else has one. */
export interface Claim extends SpecQuestion {
  readonly id: JobId;
  /** Whether to answer only when the one who is asked knows whether it accepts such a job itself. */
  readonly waits: boolean;
}

export type ClaimAnswer =
  /** It knows of none. */
  | { readonly kind: 'none' }
  /** It has the job, of the same spec or of another one. */
  | { readonly kind: 'known'; readonly job: Job; readonly isSame: boolean }
  /** It had it. */
  | { readonly kind: 'removed' }
  /** It is giving it to a node. */
  | { readonly kind: 'placed'; readonly target: NodeId; readonly isSame: boolean }
  /** It is asked for the same just now, and either goes ahead or lets the one who asks go ahead. */
  | { readonly kind: 'pending'; readonly isAhead: boolean };
