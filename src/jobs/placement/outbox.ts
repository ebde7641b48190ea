import { backoffMs } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import { CodedError } from '../../kernel/errors.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { JobError } from '../errors.ts';
import type { Job } from '../job.ts';
import type { Members } from './members.ts';
import type { OutboxStore, PlacedRequest, Placement } from './outbox-store.ts';
import { refusalOf } from './refusals.ts';

/** How a job got on with the node it was placed on. `job` is undefined where that node has it no more. */
export type Delivered =
  | { readonly kind: 'accepted'; readonly job: Job; readonly deduplicated: boolean }
  | { readonly kind: 'ended'; readonly job: Job | undefined }
  | {
      readonly kind: 'refused';
      readonly error: JobError;
      /** No other message about it was ever sent: nobody has the job. */
      readonly isCertain: boolean;
    };

/** Brings a job to the node that it is placed on. */
export interface Courier {
  accept(
    node: NodeId,
    id: JobId,
    request: PlacedRequest,
    signal: AbortSignal,
  ): Promise<{ job: Job; deduplicated: boolean }>;
  end(node: NodeId, id: JobId, removes: boolean, signal: AbortSignal): Promise<Job | undefined>;
}

export interface OutboxDependencies {
  readonly store: OutboxStore;
  readonly courier: Courier;
  readonly members: Members;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SendOptions {
  /** Somebody else remembers it over a restart, and sends it again then. */
  readonly isRemembered?: boolean;
  /** A refusal that may pass by itself is no answer: it is sent until the node takes it. */
  readonly insists?: boolean;
  /** An earlier life of this node may have sent it. */
  readonly isResumed?: boolean;
}

/** Placements that may wait for their node at once; one more is refused. Those of copies, bounded by their parents, aside. */
export const MAX_PLACEMENTS = 1_000;
/** Between two tries: a node that is away is asked at once when it is back. */
const BACKOFF = { firstMs: 250, capMs: 30_000 };
/** How long one try may take, ms; an end may be waited for that long, and is asked for again then. */
const TRY_LIMIT_MS = 60_000;

interface Entry {
  placement: Placement;
  readonly options: SendOptions;
  readonly delivered: PromiseWithResolvers<Delivered>;
  /** Ends the pause before the next try. */
  wake: () => void;
}

/**
 * Jobs on their way to other nodes: each is kept until its node has answered for good, and goes to no other node meanwhile,
 * however long that takes and however often this node starts again.
 */
export class Outbox implements AsyncDisposable {
  readonly #deps: OutboxDependencies;
  readonly #entries = new Map<JobId, Entry>();
  /** Those that are in the store, or about to be. */
  #storedCount = 0;
  readonly #closing = new AbortController();
  readonly #loops = new Set<Promise<void>>();
  readonly #subscription: Disposable;

  constructor(deps: OutboxDependencies) {
    this.#deps = deps;
    this.#subscription = deps.members.subscribe((node, isConnected) => {
      if (isConnected) this.#wake(node);
    });
  }

  /** Goes on with what an earlier life of this node has left. Once. */
  resume(): void {
    for (const placement of this.#deps.store.placements()) this.#begin(placement, { isResumed: true });
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A job that its node has not answered for. */
  find(id: JobId): Placement | undefined {
    return this.#entries.get(id)?.placement;
  }

  /**
   * Gives a job to a node. Resolves when that is durable; it is under way then, or was already. `delivered` resolves when its
   * node has answered for good, and never when this node stops before that. Fails with `queue_full` when too many are under way,
   * and with a `StoreError` `store_full`.
   */
  async send(
    placement: Placement,
    options: SendOptions = {},
  ): Promise<{ readonly delivered: Promise<Delivered> }> {
    const earlier = this.#entries.get(placement.id);
    if (earlier !== undefined) return { delivered: earlier.delivered.promise };
    if (options.isRemembered !== true) {
      if (this.#storedCount >= MAX_PLACEMENTS) throw tooMany();
      await this.#save(placement);
    }
    const entry = this.#entries.get(placement.id) ?? this.#begin(placement, options);
    return { delivered: entry.delivered.promise };
  }

  /** As that of `send`; resolves with nothing for a job that is not under way. */
  async delivered(id: JobId): Promise<Delivered | undefined> {
    return this.#entries.get(id)?.delivered.promise;
  }

  /** Has a job ended, and with `removes` forgotten, wherever it has come to. Resolves when the wish is durable. */
  async end(id: JobId, removes: boolean): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const wish = removes || entry.placement.wish === 'remove' ? 'remove' : 'end';
    if (entry.placement.wish === wish) return;
    const changed: Placement = { ...entry.placement, wish };
    if (entry.options.isRemembered !== true) await this.#deps.store.savePlacement(changed);
    entry.placement = changed;
    entry.wake();
    // Answered while it was written.
    if (!this.#entries.has(id) && entry.options.isRemembered !== true)
      await this.#deps.store.dropPlacement(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#closing.abort(new DOMException('the node stops', 'AbortError'));
    for (const entry of this.#entries.values()) entry.wake();
    await Promise.all(this.#loops);
  }

  async #save(placement: Placement): Promise<void> {
    // Counted while it is written, so that no others take its place.
    this.#storedCount += 1;
    try {
      await this.#deps.store.savePlacement(placement);
    } finally {
      this.#storedCount -= 1;
    }
  }

  #begin(placement: Placement, options: SendOptions): Entry {
    const delivered = Promise.withResolvers<Delivered>();
    const entry: Entry = { placement, options, delivered, wake: () => undefined };
    this.#entries.set(placement.id, entry);
    if (options.isRemembered !== true) this.#storedCount += 1;
    const loop = this.#deliver(entry).catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      // What is on disk is the truth to start from again.
      this.#deps.logger.error({ job_id: placement.id, err: error }, 'placement not delivered');
    });
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
    return entry;
  }

  async #deliver(entry: Entry): Promise<void> {
    let isCertain = entry.options.isResumed !== true;
    for (let tries = 1; !this.#closing.signal.aborted; tries += 1) {
      const { placement } = entry;
      let delivered: Delivered | undefined;
      try {
        delivered = await this.#try(placement, isCertain);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        const refusal = refusalOf(error);
        this.#deps.logger.debug(
          { job_id: placement.id, peer: placement.target, err: error },
          'placement tried',
        );
        const insists = entry.options.insists === true || placement.wish !== 'run';
        if (refusal !== undefined && !(refusal.retryable && insists))
          delivered = { kind: 'refused', error: refusal, isCertain };
        else isCertain &&= refusal !== undefined;
      }
      // It was told otherwise meanwhile: what was accepted is to be ended now.
      const isMeant = entry.placement === placement;
      if (delivered !== undefined && (isMeant || delivered.kind !== 'accepted'))
        return this.#settle(entry, delivered);
      if (isMeant) await this.#pause(entry, backoffMs(BACKOFF, tries));
    }
  }

  async #try({ id, target, wish, request }: Placement, isFirst: boolean): Promise<Delivered> {
    const { courier, clock } = this.#deps;
    using limited = new LinkedSignal([this.#closing.signal], { clock, limitMs: TRY_LIMIT_MS });
    if (wish === 'run') {
      try {
        const accepting = courier.accept(target, id, request, limited.signal);
        const { job, deduplicated } = await abortable(accepting, limited.signal);
        // Where it was sent before, it may be that one that is there already.
        const isFound = deduplicated && isFirst && request.idempotencyKey !== undefined;
        return { kind: 'accepted', job, deduplicated: isFound };
      } catch (error) {
        // It had taken it, and somebody has removed it there since.
        if (wasRemoved(error)) return { kind: 'ended', job: undefined };
        throw error;
      }
    }
    const ending = courier.end(target, id, wish === 'remove', limited.signal);
    return { kind: 'ended', job: await abortable(ending, limited.signal) };
  }

  async #settle(entry: Entry, delivered: Delivered): Promise<void> {
    const { id, target } = entry.placement;
    if (delivered.kind === 'refused')
      this.#deps.logger.warn({ job_id: id, peer: target, code: delivered.error.code }, 'placement refused');
    if (entry.options.isRemembered !== true) await this.#deps.store.dropPlacement(id);
    this.#entries.delete(id);
    if (entry.options.isRemembered !== true) this.#storedCount -= 1;
    entry.delivered.resolve(delivered);
  }

  async #pause(entry: Entry, durationMs: number): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#deps.clock.after(durationMs, resolve);
    entry.wake = resolve;
    await promise;
    entry.wake = () => undefined;
  }

  #wake(node: NodeId): void {
    for (const entry of this.#entries.values()) if (entry.placement.target === node) entry.wake();
  }
}

function wasRemoved(error: unknown): boolean {
  return (
    error instanceof CodedError && error.code === 'idempotency_conflict' && error.details['removed'] === true
  );
}

function tooMany(): JobError {
  return new JobError('queue_full', `${MAX_PLACEMENTS} jobs are on their way to other nodes already`, {
    details: { limit: MAX_PLACEMENTS },
    retryable: true,
    retryAfterMs: 1_000,
  });
}
