import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { RuntimeDriver } from '../../runtime/driver.ts';
import { JobError } from '../errors.ts';
import { hasEnded, isUp, type Job } from '../job.ts';
import type { NewJob } from '../job-log.ts';
import type { OwnJobs } from '../jobs.ts';
import type { Claims } from './claims.ts';
import type { Claim, ClaimAnswer, PlacementHost } from './host.ts';
import type { PlacedRequest } from './outbox-store.ts';
import type { Bid } from './rank-bids.ts';

/** This node's own jobs, as far as other nodes may add to them. */
export interface HostedJobs extends Pick<
  OwnJobs,
  'queue' | 'find' | 'stop' | 'cancel' | 'remove' | 'wait' | 'create'
> {
  place(draft: NewJob): Promise<{ job: Job; deduplicated: boolean }>;
  wasRemoved(id: JobId): boolean;
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

  constructor(deps: HostingDependencies) {
    this.#deps = deps;
  }

  async bid(image: string, signal: AbortSignal): Promise<Bid> {
    const { jobs, driver, engine } = this.#deps;
    // What the engine cannot tell is not there: then somebody else who has it comes first.
    const found = engine.isAvailable
      ? await driver.findImage(image, signal).catch(() => undefined)
      : undefined;
    const { waiting, working, workerCount, queueSize, isDraining, isPaused } = jobs.queue();
    return {
      hasImage: found !== undefined,
      depth: waiting + working,
      hasRoom: waiting < queueSize || working < workerCount,
      isDraining,
      isHeld: isPaused || !engine.isAvailable,
    };
  }

  accept(id: JobId, request: PlacedRequest): Promise<{ job: Job; deduplicated: boolean }> {
    return this.#deps.jobs.place({ id, ...request });
  }

  async end(id: JobId, removes: boolean, signal: AbortSignal): Promise<Job | undefined> {
    const { jobs } = this.#deps;
    const ended = await this.#end(id, signal);
    if (ended !== undefined && removes) await jobs.remove(id, { signal });
    return ended;
  }

  claim(claim: Claim, from: NodeId, signal: AbortSignal): Promise<ClaimAnswer> {
    return this.#deps.claims.answer(claim, from, signal);
  }

  async #end(id: JobId, signal: AbortSignal): Promise<Job | undefined> {
    const { jobs } = this.#deps;
    for (;;) {
      const job = jobs.find(id);
      if (job === undefined || hasEnded(job)) return job;
      try {
        if (isUp(job)) await jobs.stop(id);
        else await jobs.cancel(id, { signal });
        return (await jobs.wait(id, { until: 'ended', signal })).job;
      } catch (error) {
        // It has moved on meanwhile.
        if (!(error instanceof JobError && error.code === 'invalid_state')) throw error;
      }
    }
  }
}
