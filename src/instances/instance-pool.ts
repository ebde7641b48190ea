import { randomUUID } from 'node:crypto';
import { backoffMs, type BackoffPolicy } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { abortable } from '../kernel/single-flight.ts';
import type { EngineGate } from '../jobs/engine-gate.ts';
import { JobError } from '../jobs/errors.ts';
import { hasEnded, type Job } from '../jobs/job.ts';
import { InstanceError } from './errors.ts';
import {
  type InstanceKind,
  type InstanceWish,
  INSTANCE_CALLER,
  isAsGoodAs,
  kindOf,
  sharingOf,
  upstreamOf,
  wishFor,
} from './instance-job.ts';
import type { InstanceJobLog, InstanceJobs } from './instance-jobs.ts';
import type { Instances, Lease, LeaseId, Upstream } from './instances.ts';
import { PooledInstance, type PausingEngine } from './pooled-instance.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';
import type { InstanceTemplate } from './template.ts';
import { WaitingRoom } from './waiting-room.ts';
import { WarmWishes } from './warm-wishes.ts';

export interface InstancePoolOptions {
  /** On this node, of all kinds together; those that are being ended included. */
  readonly maxInstances: number;
  /** Callers that wait for one of them. */
  readonly maxWaiting: number;
  /** How long a shared one that was found at the start stays without a connection, ms. */
  readonly idleTimeoutMs: number;
}

export interface InstancePoolLogger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export interface InstancePoolDependencies {
  readonly jobs: InstanceJobs;
  readonly log: InstanceJobLog;
  readonly engine: PausingEngine & Pick<RuntimeDriver, 'findImage'>;
  /** Who needs the engine waits for it. */
  readonly gate: Pick<EngineGate, 'persist'>;
  readonly clock: Clock;
  readonly logger: InstancePoolLogger;
}

/**
 * From when somebody has got one that was kept warm until another is made behind it, ms: while the engine makes one, it is slower to
 * let another go on, and so is the node to lead a client there.
 */
const REFILL_PAUSE_MS = 50;

/** An instance, with the right to use it. */
interface Place {
  readonly lease: LeaseId;
  readonly instance: PooledInstance;
}

const REMOVAL_RETRY: BackoffPolicy = { firstMs: 500, capMs: 30_000 };

/**
 * The instances of this node. Each is made by a job of its own, so that it is durable and seen like any other; what is kept here is
 * who uses it. One that is exclusive ends with its connection, one that is shared when it was without any for long.
 */
export class InstancePool implements Instances, AsyncDisposable {
  readonly #options: InstancePoolOptions;
  readonly #deps: InstancePoolDependencies;
  readonly #waiting: WaitingRoom<InstanceWish, Place>;
  readonly #warm: WarmWishes;
  readonly #instances = new Set<PooledInstance>();
  readonly #byJob = new Map<JobId, PooledInstance>();
  readonly #leases = new Map<LeaseId, { instance: PooledInstance; idleTimeoutMs: number }>();
  readonly #lostListeners = new Set<(lease: LeaseId) => void>();
  readonly #removals = new Set<Promise<void>>();
  /** For all that were taken meanwhile. */
  #nextRefill: Disposable | undefined;
  readonly #closed = new AbortController();
  #subscription: Disposable | undefined;
  #isDraining = false;

  constructor(options: InstancePoolOptions, deps: InstancePoolDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#waiting = new WaitingRoom({ size: options.maxWaiting }, deps);
    this.#warm = new WarmWishes(() => this.#refill(), deps);
  }

  /**
   * Takes up what a life of the node before this has left: shared instances that run go on, exclusive ones have lost their
   * connection and end. To be called once the jobs are known.
   */
  start(): void {
    this.#subscription = this.#deps.log.subscribe(({ jobId }, after) => this.#onChange(jobId, after));
    for (const job of [...this.#deps.log.live()]) {
      const sharing = sharingOf(job);
      if (sharing === undefined) continue;
      const upstream = job.state === 'running' ? upstreamOf(job) : undefined;
      if (sharing === 'shared' && upstream !== undefined) this.#adopt(job, upstream);
      else this.#removeSoon(job.id);
    }
  }

  get count(): number {
    return this.#instances.size;
  }

  /** How many more instances there may be; 0 for a node that makes none. */
  get room(): number {
    return this.#isDraining ? 0 : Math.max(0, this.#options.maxInstances - this.#instances.size);
  }

  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** Has so many of each kept ready and paused, for whoever comes next; in the place of what was asked for before. */
  keepWarm(wishes: readonly { readonly template: InstanceTemplate; readonly count: number }[]): void {
    this.#warm.set(wishes);
    const kept = new Map<string, number>();
    for (const instance of [...this.#instances].filter(({ isWarm }) => isWarm)) {
      const { kind } = instance;
      const count = kept.get(kind.key) ?? 0;
      if (count >= this.#warm.countOf(kind)) this.#end(instance);
      else kept.set(kind.key, count + 1);
    }
    this.#refill();
  }

  /** Waiting for a place and the start together take no longer than `startTimeoutMs`. */
  async acquire(template: InstanceTemplate, signal: AbortSignal): Promise<Lease> {
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + template.startTimeoutMs;
    const leftMs = (): number => Math.max(1, Math.ceil(endMs - clock.monotonicMs()));
    const wish = wishFor(template);
    for (;;) {
      signal.throwIfAborted();
      if (this.#isDraining) throw draining();
      const place = this.#takeInTurn(wish) ?? (await this.#waiting.wait(wish, leftMs(), signal));
      using limited = new LinkedSignal([signal], { clock, limitMs: leftMs() });
      const lease = await this.#enter(place, template, limited);
      if (lease !== undefined) return lease;
    }
  }

  release(id: LeaseId): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    this.#leases.delete(id);
    const { instance, idleTimeoutMs } = lease;
    instance.leases.delete(id);
    if (instance.sharing === 'exclusive') this.#end(instance);
    else if (instance.leases.size === 0) this.#idle(instance, idleTimeoutMs);
    this.#serveWaiting();
  }

  onLost(listener: (lease: LeaseId) => void): Disposable {
    this.#lostListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#lostListeners.delete(listener) };
  }

  /** Makes nothing new, and tells those who wait. Instances in use go on. */
  drain(): void {
    this.#isDraining = true;
    this.#waiting.dismiss(draining());
  }

  /**
   * Ends what is exclusive, and resolves when that is removed, or `force` is aborted: then the next start removes it. What is shared
   * goes on, and is taken up again.
   */
  async close(force: AbortSignal): Promise<void> {
    this.drain();
    for (const instance of [...this.#instances]) {
      if (instance.sharing === 'exclusive') this.#end(instance);
    }
    await abortable(Promise.all(this.#removals), force).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is kept warm would be made again and again in the place of what is given up.
    this.drain();
    this.#subscription?.[Symbol.dispose]();
    this.#warm[Symbol.dispose]();
    this.#nextRefill?.[Symbol.dispose]();
    for (const instance of this.#instances) instance.stopIdling();
    this.#closed.abort(draining());
    await Promise.all(this.#removals);
  }

  /** Undefined when it is not the caller's turn. */
  #takeInTurn(wish: InstanceWish): Place | undefined {
    // Whoever came before, and waits for the same, comes first.
    if (this.#waiting.has(({ template }) => template.name === wish.template.name)) return undefined;
    return this.#take(wish, this.#waiting.count + 1);
  }

  /** `wanted`: how many want a place, this caller among them. */
  #take(wish: InstanceWish, wanted: number): Place | undefined {
    const instance = this.#instanceFor(wish, wanted);
    if (instance === undefined) return undefined;
    return { lease: this.#lease(instance, wish.template.idleTimeoutMs), instance };
  }

  /** The least used one with room, else a new one, where there may be one more. */
  #instanceFor(wish: InstanceWish, wanted: number): PooledInstance | undefined {
    const { kind, template } = wish;
    const ofKind = this.#ofKind(kind);
    const fitting = ofKind.filter((instance) => isAsGoodAs(instance.kind, kind));
    const withRoom = fitting.filter((instance) => instance.hasRoom(template.maxConnections));
    const best = withRoom.toSorted((a, b) => a.leases.size - b.leases.size)[0];
    if (best !== undefined) return best;
    const warm = fitting.find(({ isWarm, state }) => isWarm && state !== 'ending');
    if (warm !== undefined) {
      warm.isWarm = false;
      return warm;
    }
    if (ofKind.length >= template.maxInstances) return undefined;
    if (this.#instances.size >= this.#options.maxInstances) {
      this.#giveUpWarm(wanted);
      return undefined;
    }
    return this.#make(wish);
  }

  /** Those of another image under the same name, too. */
  #ofKind({ key }: InstanceKind): PooledInstance[] {
    return [...this.#instances].filter(({ kind }) => kind.key === key);
  }

  #make(wish: InstanceWish, isWarm = false): PooledInstance {
    const { kind, template } = wish;
    const origin = (instance: PooledInstance): Promise<Upstream> => this.#start(instance, wish);
    const instance = new PooledInstance({ kind, sharing: template.sharing, isWarm, origin });
    this.#instances.add(instance);
    return instance;
  }

  /** A name can be given to another image at any time. */
  async #requireValidated({ image, imageId }: InstanceTemplate, signal: AbortSignal): Promise<void> {
    if (imageId === undefined) return;
    const { engine, gate } = this.#deps;
    const found = await gate.persist(() => engine.findImage(image, signal), signal);
    if (found === undefined || found.id === imageId) return;
    const message = `image ${image} is not the one that was validated; it will be served once it has been`;
    const details = { image, found: found.id, validated: imageId };
    throw new InstanceError('start_failed', message, { details, retryable: true });
  }

  /** Whoever is here comes before whoever may come. A place that is about to become free does for one of them. */
  #giveUpWarm(wanted: number): void {
    const all = [...this.#instances];
    if (all.filter(({ state }) => state === 'ending').length >= wanted) return;
    const warm = all.find(({ isWarm, state }) => isWarm && state !== 'ending');
    if (warm !== undefined) this.#end(warm);
  }

  #refillSoon(): void {
    this.#nextRefill ??= this.#deps.clock.after(REFILL_PAUSE_MS, () => {
      this.#nextRefill = undefined;
      this.#refill();
    });
  }

  #refill(): void {
    if (this.#isDraining || this.#waiting.count > 0) return;
    for (const wish of this.#warm.due()) {
      const { kind, template, count } = wish;
      const ofKind = this.#ofKind(kind);
      const warmCount = ofKind.filter(({ isWarm, state }) => isWarm && state !== 'ending').length;
      const room = Math.min(
        template.maxInstances - ofKind.length,
        this.#options.maxInstances - this.#instances.size,
      );
      for (let made = 0; made < Math.min(count - warmCount, room); made += 1)
        void this.#warmUp(this.#make(wish, true));
    }
  }

  async #warmUp(instance: PooledInstance): Promise<void> {
    try {
      await instance.ready;
      this.#warm.started(instance.kind);
      await instance.pause(this.#deps.engine);
    } catch (error) {
      if (!instance.isWarm || this.#closed.signal.aborted) return;
      this.#deps.logger.warn({ job_id: instance.job, err: error }, 'instance not kept warm');
      this.#warm.failed(instance.kind);
      this.#end(instance);
    }
  }

  /** Undefined where the place is in an instance that was kept warm, and did not live to see anybody: another one will do. */
  async #enter(
    { lease, instance }: Place,
    template: InstanceTemplate,
    limited: LinkedSignal,
  ): Promise<Lease | undefined> {
    try {
      const upstream = await abortable(instance.ready, limited.signal);
      const isAwake = await abortable(this.#awake(instance), limited.signal);
      if (isAwake && instance.job !== undefined && this.#leases.has(lease))
        return { id: lease, job: instance.job, upstream };
      if (!instance.wasKeptWarm) throw lost(template);
      this.release(lease);
      return undefined;
    } catch (error) {
      this.release(lease);
      throw limited.isTimedOut ? late(template) : error;
    } finally {
      if (instance.wasKeptWarm) this.#refillSoon();
    }
  }

  /** False when it could not be woken, and is ended; or was ended meanwhile. */
  async #awake(instance: PooledInstance): Promise<boolean> {
    const { engine, gate, logger } = this.#deps;
    const { signal } = instance.abort;
    try {
      await gate.persist(() => instance.awake(engine), signal);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      logger.warn({ job_id: instance.job, err: error }, 'instance that was kept warm could not be woken');
      this.#end(instance);
      return false;
    }
  }

  #lease(instance: PooledInstance, idleTimeoutMs: number): LeaseId {
    const id = randomUUID() as string as LeaseId;
    instance.stopIdling();
    instance.leases.add(id);
    this.#leases.set(id, { instance, idleTimeoutMs });
    return id;
  }

  async #start(instance: PooledInstance, { template, request }: InstanceWish): Promise<Upstream> {
    const { signal } = instance.abort;
    try {
      await this.#requireValidated(template, signal);
      const { job } = await this.#deps.jobs.create(request, INSTANCE_CALLER);
      instance.job = job.id;
      this.#byJob.set(job.id, instance);
      signal.throwIfAborted();
      const options = { until: 'running', timeoutMs: template.startTimeoutMs, signal } as const;
      const running = await this.#deps.jobs.wait(job.id, options);
      const upstream = running.job.state === 'running' ? upstreamOf(running.job) : undefined;
      if (upstream === undefined) throw failedToStart(running.job);
      signal.throwIfAborted();
      instance.container = running.job.instance?.id;
      instance.becomeReady();
      return upstream;
    } catch (error) {
      this.#end(instance);
      throw asInstanceError(error);
    }
  }

  #adopt(job: Job, upstream: Upstream): void {
    const instance = new PooledInstance({
      kind: kindOf(job.spec),
      sharing: 'shared',
      origin: { job: job.id, upstream },
    });
    this.#instances.add(instance);
    this.#byJob.set(job.id, instance);
    this.#idle(instance, this.#options.idleTimeoutMs);
    this.#deps.logger.info({ job_id: job.id, name: job.spec.name }, 'shared instance found again');
  }

  #idle(instance: PooledInstance, timeoutMs: number): void {
    instance.stopIdling();
    instance.idleTimer = this.#deps.clock.after(timeoutMs, () => this.#end(instance));
  }

  /** Of a job of ours that has ended or is gone. */
  #onChange(jobId: JobId, after: Job | undefined): void {
    const instance = this.#byJob.get(jobId);
    if (instance !== undefined && (after === undefined || hasEnded(after))) this.#end(instance);
  }

  /** Nobody is led to it any more; its place is free when its container is gone. */
  #end(instance: PooledInstance): void {
    if (!instance.beginEnding()) return;
    instance.abort.abort(
      new InstanceError('start_failed', 'the instance is being ended', { retryable: true }),
    );
    for (const lease of [...instance.leases]) {
      this.#leases.delete(lease);
      for (const listener of this.#lostListeners) listener(lease);
    }
    instance.leases.clear();
    this.#track(this.#remove(instance));
  }

  async #remove(instance: PooledInstance): Promise<void> {
    // A job that is just being accepted has an id soon.
    await instance.ready.catch(() => undefined);
    const { job } = instance;
    if (job !== undefined) await this.#removeJob(job);
    this.#instances.delete(instance);
    if (job !== undefined) this.#byJob.delete(job);
    this.#serveWaiting();
    this.#refill();
  }

  #removeSoon(job: JobId): void {
    this.#track(this.#removeJob(job));
  }

  #track(removal: Promise<void>): void {
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  /** Until it is gone, or this node ends: then the next start does it. */
  async #removeJob(id: JobId): Promise<void> {
    const { signal } = this.#closed;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        return await this.#deps.jobs.remove(id, { force: true, signal });
      } catch (error) {
        if (signal.aborted || (error instanceof JobError && error.code === 'not_found')) return;
        this.#deps.logger.warn({ job_id: id, err: error }, 'instance not removed, will be tried again');
        await sleep(this.#deps.clock, backoffMs(REMOVAL_RETRY, attempt), signal).catch(() => undefined);
      }
    }
  }

  #serveWaiting(): void {
    if (!this.#isDraining) this.#waiting.serve((wish) => this.#take(wish, this.#waiting.count));
  }
}

function draining(): InstanceError {
  return new InstanceError('draining', 'the node is shutting down; connect again when it is back', {
    retryable: true,
  });
}

function late({ name, startTimeoutMs }: InstanceTemplate): InstanceError {
  const message = `no instance of ${name} was ready within ${startTimeoutMs} ms`;
  return new InstanceError('start_failed', message, { retryable: true });
}

function lost({ name }: InstanceTemplate): InstanceError {
  return new InstanceError('start_failed', `the instance of ${name} ended as soon as it ran`, {
    retryable: true,
  });
}

function failedToStart({ id, outcome }: Job): InstanceError {
  const { message = 'it has no address', reason, retryable = false } = outcome ?? {};
  const details = { job_id: id, ...(reason !== undefined && { reason }) };
  return new InstanceError('start_failed', `the instance did not start: ${message}`, { details, retryable });
}

function asInstanceError(error: unknown): unknown {
  if (!(error instanceof JobError)) return error;
  const { code, message, details, retryable, retryAfterMs } = error;
  const kind =
    code === 'queue_full' || code === 'store_full'
      ? 'busy'
      : code === 'draining'
        ? 'draining'
        : 'start_failed';
  return new InstanceError(kind, message, {
    cause: error,
    details,
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
