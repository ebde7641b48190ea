import { jobIdOfKey, newJobId, type JobId } from '../kernel/ids.ts';
import { SingleFlight } from '../kernel/single-flight.ts';
import { specHashOf, type JobContext } from './context.ts';
import { JobError } from './errors.ts';
import type { Job } from './job.ts';
import type { NewJob } from './job-log.ts';
import { StoreError } from './job-store.ts';
import { checkPolicy, type JobPolicy } from './policy.ts';
import type { JobRequest, JobSpec } from './spec.ts';
import type { JobWaits } from './wait.ts';
import type { WorkerPool } from './worker-pool.ts';

export interface Submitted {
  readonly job: Job;
  readonly deduplicated: boolean;
}

/** What a client is told to wait when the disk is full, ms. */
const STORE_FULL_RETRY_MS = 5_000;

/** Takes jobs in: policy, idempotency and the bound of the queue come before the first side effect. */
export class Submissions {
  readonly #policy: JobPolicy;
  readonly #context: JobContext;
  readonly #pool: WorkerPool;
  readonly #waits: JobWaits;
  readonly #draining: AbortSignal;
  readonly #placing = new SingleFlight<JobId, Submitted>();

  /** `draining` is aborted when the node begins to stop: those who wait are answered with what there is. */
  constructor(
    policy: JobPolicy,
    deps: { context: JobContext; pool: WorkerPool; waits: JobWaits; draining: AbortSignal },
  ) {
    this.#policy = policy;
    this.#context = deps.context;
    this.#pool = deps.pool;
    this.#waits = deps.waits;
    this.#draining = deps.draining;
  }

  /** See `Jobs.create`. */
  async create(request: JobRequest, caller: string, signal?: AbortSignal): Promise<Submitted> {
    const { idempotency_key: idempotencyKey, wait_ms: waitMs, placement, ...spec } = request;
    if (placement !== undefined) this.#requireHere(placement);
    const submitted = await this.#accept(spec, caller, idempotencyKey).catch((error: unknown) =>
      this.#refused(error),
    );
    if (waitMs === undefined) return submitted;
    const { id } = submitted.job;
    // However far it has come by then is the answer.
    const signals = [this.#draining, signal];
    const job = await this.#waits
      .for(id, { until: 'running', timeoutMs: waitMs, signals })
      .catch((error: unknown) => {
        if (error instanceof JobError) return this.#context.log.get(id);
        throw error;
      });
    return job === undefined ? submitted : { ...submitted, job };
  }

  /**
   * Takes in a job whose id another node, or the job it is a copy of, has given it: once for good, however often it is sent.
   * Whoever sends it while it is being taken in gets the same answer, so that a refusal holds for all of them.
   */
  async place(draft: NewJob): Promise<Submitted> {
    return this.#placing
      .run(draft.id, () => this.#place(draft))
      .catch((error: unknown) => this.#refused(error));
  }

  async #place(draft: NewJob): Promise<Submitted> {
    const { box, log } = this.#context;
    const specHash = specHashOf(box, draft.spec);
    const known = log.get(draft.id);
    if (known !== undefined) return deduplicate(known, specHashOf(box, known.spec), specHash);
    checkPolicy(draft.spec, this.#policy);
    return this.#insert(draft, specHash);
  }

  #refused(error: unknown): never {
    if (error instanceof JobError) this.#context.telemetry.jobRefused(error.code);
    throw error;
  }

  /** A node that is alone is the best one, and every one. */
  #requireHere(placement: string): void {
    if (['local', 'any', 'every', this.#context.owner].includes(placement)) return;
    const message = `node ${placement} is not connected to this one; nothing was accepted`;
    const details = { node_id: placement };
    throw new JobError('peer_unreachable', message, { details, retryable: true });
  }

  async #accept(spec: JobSpec, caller: string, idempotencyKey: string | undefined): Promise<Submitted> {
    checkPolicy(spec, this.#policy);
    const { box, clock, log } = this.#context;
    if (idempotencyKey === undefined) {
      const draft = { id: newJobId(clock.wallMs()), spec, caller, idempotencyKey };
      return this.#insert(draft, undefined);
    }
    const specHash = specHashOf(box, spec);
    const id = jobIdOfKey(caller, idempotencyKey);
    // Known already: answered even when the queue is full or the node drains.
    const known = log.get(id);
    if (known !== undefined) return deduplicate(known, specHashOf(box, known.spec), specHash);
    return this.#insert({ id, spec, caller, idempotencyKey }, specHash);
  }

  /** `specHash` is undefined for a job without a key. */
  async #insert(draft: NewJob, specHash: string | undefined): Promise<Submitted> {
    this.#pool.reserve();
    try {
      const options = specHash === undefined ? { isNewId: true } : { specHash };
      const inserted = await this.#context.log.insert(draft, options);
      if (inserted.kind === 'inserted') return { job: inserted.job, deduplicated: false };
      if (inserted.kind === 'exists') return deduplicate(inserted.job, inserted.specHash, specHash);
      throw keyOfRemoved(draft.id, inserted.tombstone.specHash === specHash);
    } catch (error) {
      return refuseWhenFull(error);
    } finally {
      this.#pool.release();
    }
  }
}

/** Throws what a write failed with; a full disk as a refusal that may pass. */
export function refuseWhenFull(error: unknown): never {
  if (!(error instanceof StoreError && error.code === 'store_full')) throw error;
  const { details } = error;
  const facts = { cause: error, details, retryable: true, retryAfterMs: STORE_FULL_RETRY_MS };
  throw new JobError('store_full', error.message, facts);
}

function deduplicate(job: Job, knownHash: string | undefined, specHash: string | undefined): Submitted {
  if (knownHash === specHash) return { job, deduplicated: true };
  throw new JobError(
    'idempotency_conflict',
    `idempotency key ${JSON.stringify(job.idempotencyKey)} was used for job ${job.id} with another spec; use a new key`,
    { details: { job_id: job.id } },
  );
}

function keyOfRemoved(id: JobId, isSameSpec: boolean): JobError {
  const what = isSameSpec ? 'was removed' : 'had another spec and was removed';
  return new JobError(
    'idempotency_conflict',
    `the idempotency key belongs to job ${id}, which ${what}; use a new key to run it again`,
    { details: { job_id: id, removed: true } },
  );
}
