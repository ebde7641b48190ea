import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CreateParams } from '../../../../src/api/wire.ts';
import { RpcFailure, rpcCall } from '../../../support/node-process.ts';
import type { SeededRandom } from '../../support/seed.ts';

/** What a job does: ends by itself well or badly, is restarted by the node, or runs until it is stopped. */
export const KINDS = ['short', 'fails', 'restarts', 'long'] as const;
export type Kind = (typeof KINDS)[number];

/** One thing a client asked for, and what it was told. */
export interface Request {
  /** On the job and on its container; no other request has it. */
  readonly tag: string;
  readonly kind: Kind;
  readonly key: string | undefined;
  /** Set once a Create was acknowledged; `all` holds more only when replies contradict each other. */
  readonly jobIds: Set<string>;
  /** A Create got no answer. */
  isUncertain: boolean;
  acknowledged: 'none' | 'stop' | 'cancel' | 'remove';
  /** Somebody tried to remove it, whatever came of it. */
  isRemoveTried: boolean;
}

export interface WorkloadOptions {
  readonly port: number;
  readonly random: SeededRandom;
  readonly specOf: (kind: Kind) => CreateParams;
  /** How many jobs are in flight at any time. */
  readonly inFlight: number;
  /** How long a job is left alone before something is done to it, ms. */
  readonly maxHoldMs: number;
  /** Breaks the rules: tries again without the key. */
  readonly dropsKeys?: boolean;
}

const RETRY_MS = 30;
const CALL_TIMEOUT_MS = 15_000;

/** Clients that submit jobs and end them in every way there is, and go on doing so while the node comes and goes. */
export class Workload {
  readonly requests: Request[] = [];
  readonly #options: WorkloadOptions;
  /** Other tests use the same engine. */
  readonly #name = randomBytes(4).toString('hex');
  readonly #stop = new AbortController();
  #actors: Promise<unknown> = Promise.resolve();

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#actors = Promise.all(Array.from({ length: this.#options.inFlight }, () => this.#act()));
  }

  /** No new requests; resolves when those under way have been answered, so a node must be up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#actors;
  }

  /** Creates that were acknowledged. */
  get acknowledged(): readonly Request[] {
    return this.requests.filter((request) => request.jobIds.size > 0);
  }

  async #act(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const request = this.#next();
      this.requests.push(request);
      const jobId = await this.#create(request);
      if (jobId === undefined) continue;
      await this.#end(request, jobId);
    }
  }

  #next(): Request {
    const { random } = this.#options;
    const tag = `${this.#name}-${this.requests.length}`;
    return {
      tag,
      kind: random.pick(KINDS),
      key: random.next() < 0.7 ? `key-${tag}` : undefined,
      jobIds: new Set(),
      isUncertain: false,
      acknowledged: 'none',
      isRemoveTried: false,
    };
  }

  /** The job's id; undefined when an unkeyed Create got no answer, since trying again might make a second one. */
  async #create(request: Request): Promise<string | undefined> {
    const spec = { ...this.#options.specOf(request.kind), labels: { tag: request.tag } };
    for (;;) {
      const usesKey = request.key !== undefined && !(this.#options.dropsKeys === true && request.isUncertain);
      try {
        const params = usesKey ? { ...spec, idempotency_key: request.key } : spec;
        const { job_id } = await this.#call('ContainerService.Create', params);
        request.jobIds.add(job_id);
        return job_id;
      } catch (error) {
        if (error instanceof RpcFailure) {
          if (!['queue_full', 'draining', 'starting'].includes(error.reason)) throw error;
        } else if (!isRefusedConnection(error)) {
          request.isUncertain = true;
          if (request.key === undefined) return undefined;
        }
        await delay(RETRY_MS);
      }
    }
  }

  async #end(request: Request, jobId: string): Promise<void> {
    const { random, maxHoldMs } = this.#options;
    const holdMs = random.next() < 0.3 ? 0 : random.int(0, maxHoldMs);
    const end = random.pick(['leave', 'stop', 'cancel', 'remove', 'stop', 'force'] as const);
    await delay(holdMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    if (end === 'stop' || (request.kind === 'long' && end === 'leave'))
      return this.#ask(request, 'stop', jobId);
    if (end === 'cancel') return this.#ask(request, 'cancel', jobId);
    if (end === 'remove') return this.#ask(request, 'remove', jobId, false);
    if (end === 'force') return this.#ask(request, 'remove', jobId, true);
  }

  /** Asks until there is an answer: that it was done, or that it cannot be done as things stand. */
  async #ask(
    request: Request,
    what: 'stop' | 'cancel' | 'remove',
    jobId: string,
    force = false,
  ): Promise<void> {
    if (what === 'remove') request.isRemoveTried = true;
    for (;;) {
      try {
        if (what === 'stop') await this.#call('ContainerService.Stop', { job_id: jobId });
        else if (what === 'cancel') await this.#call('JobService.Cancel', { job_id: jobId });
        else await this.#call('ContainerService.Remove', { job_id: jobId, force });
        request.acknowledged = what;
        return;
      } catch (error) {
        if (error instanceof RpcFailure) {
          // In the wrong state for it; or done before, by a call whose answer was lost.
          if (error.reason === 'invalid_state' || error.reason === 'not_found') return;
          if (this.#stop.signal.aborted) throw error;
        }
        await delay(RETRY_MS);
      }
    }
  }

  #call: <Name extends Parameters<typeof rpcCall>[1]>(
    method: Name,
    params: Parameters<typeof rpcCall<Name>>[2],
  ) => ReturnType<typeof rpcCall<Name>> = (method, params) =>
    rpcCall(this.#options.port, method, params, CALL_TIMEOUT_MS);
}

/** Nobody listened: the request was certainly not read. */
function isRefusedConnection(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
}
