import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { RuntimeDriver } from '../../runtime/driver.ts';
import { JobError } from '../errors.ts';
import type { Job } from '../job.ts';
import type { NewJob } from '../job-log.ts';
import type { OwnJobs } from '../jobs.ts';
import type { Claims } from './claims.ts';
import type { Claim, ClaimAnswer, EndOptions, PlacementHost } from './host.ts';
import type { PlacedRequest } from './outbox-store.ts';
import type { Bid } from './rank-bids.ts';

/** This node's own jobs, as far as other nodes may add to them. */
export interface HostedJobs extends Pick<OwnJobs, 'queue' | 'find' | 'remove' | 'create'> {
  place(draft: NewJob): Promise<{ job: Job; deduplicated: boolean }>;
  wasRemoved(id: JobId): boolean;
  end(
    id: JobId,
    how: { readonly hurries: boolean; readonly graceMs?: number },
    signal: AbortSignal,
  ): Promise<Job | undefined>;
}

export interface HostingDependencies {
  readonly jobs: HostedJobs;
  readonly claims: Claims;
  readonly engine: { readonly isAvailable: boolean };
  readonly driver: Pick<RuntimeDriver, 'findImage'>;
}

/** Does what other nodes ask before, and when, they give this one a job. */
export class Hosting implements PlacementHost {
  readonly #deps: HostingDependencies;
  #isOpen = false;

  constructor(deps: HostingDependencies) {
    this.#deps = deps;
  }

  /** This node's own jobs are known: others may come. */
  open(): void {
    this.#isOpen = true;
  }

  async bid(image: string, signal: AbortSignal): Promise<Bid> {
    this.#requireOpen();
    const { jobs, driver, engine } = this.#deps;
    // What the engine cannot tell is not there: then somebody else who has it comes first.
    const found = engine.isAvailable
      ? await driver.findImage(image, signal).catch(() => undefined)
      : undefined;
    const { waiting, working, workerCount, queueSize, isDraining, isHeld } = jobs.queue();
    return {
      hasImage: found !== undefined,
      depth: waiting + working,
      hasRoom: waiting < queueSize || working < workerCount,
      isDraining,
      isHeld: isHeld || !engine.isAvailable,
    };
  }

  async accept(id: JobId, request: PlacedRequest): Promise<{ job: Job; deduplicated: boolean }> {
    this.#requireOpen();
    return this.#deps.jobs.place({ id, ...request });
  }

  async end(id: JobId, { removes, ...grace }: EndOptions, signal: AbortSignal): Promise<Job | undefined> {
    this.#requireOpen();
    const { jobs } = this.#deps;
    const ended = await jobs.end(id, { ...grace, hurries: removes }, signal);
    if (ended !== undefined && removes) await jobs.remove(id, { signal });
    return ended;
  }

  claim(claim: Claim, from: NodeId, signal: AbortSignal): Promise<ClaimAnswer> {
    return this.#deps.claims.answer(claim, from, signal);
  }

  /** Where it is asked again: an answer for good would be taken for a refusal. */
  #requireOpen(): void {
    if (!this.#isOpen)
      throw new JobError('peer_unreachable', 'this node is starting; ask again', { retryable: true });
  }
}
