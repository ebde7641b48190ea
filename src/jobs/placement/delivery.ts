import { backoffMs } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import { CodedError } from '../../kernel/errors.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { JobError } from '../errors.ts';
import type { Job } from '../job.ts';
import type { EndOptions } from './host.ts';
import type { PlacedRequest, Placement } from './outbox-store.ts';
import { PendingAnswer } from './pending-answer.ts';
import { notSent, refusalOf, wasNotSent } from './refusals.ts';

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
  end(node: NodeId, id: JobId, how: EndOptions, signal: AbortSignal): Promise<Job | undefined>;
}

export interface DeliveryDependencies {
  readonly courier: Courier;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DeliveryOptions {
  /** Somebody else remembers it over a restart, and sends it again then. */
  readonly isRemembered?: boolean;
  /** A refusal that may pass by itself is no answer: it is sent until the node takes it. */
  readonly insists?: boolean;
  /** Another node will do as well: that it cannot be sent is a refusal, as long as it never was. */
  readonly hasOthers?: boolean;
  /** An earlier life of this node may have sent it. */
  readonly isResumed?: boolean;
  /** How long a stop may take before SIGKILL where it is to be ended, ms; as the job says where it is not given. */
  readonly graceMs?: number | undefined;
}

/** Between two tries: a node that is away is asked at once when it is back. */
const BACKOFF = { firstMs: 250, capMs: 30_000 };
/** How long one try may take, ms; an end may be waited for that long, and is asked for again then. */
const TRY_LIMIT_MS = 60_000;

/** One job on its way to its node, which is asked until it has answered for good. */
export class Delivery {
  readonly options: DeliveryOptions;
  /** Never comes when this node stops before. */
  readonly answer = new PendingAnswer<Delivered>();
  readonly #deps: DeliveryDependencies;
  readonly #abandoned = new AbortController();
  #placement: Placement;
  #graceMs: number | undefined;
  #tries = 0;
  /** Ends the pause before the next try. */
  #wake: () => void = () => undefined;

  constructor(placement: Placement, options: DeliveryOptions, deps: DeliveryDependencies) {
    this.#placement = placement;
    this.options = options;
    this.#graceMs = options.graceMs;
    this.#deps = deps;
  }

  get placement(): Placement {
    return this.#placement;
  }

  /** Something else is wished of the node. */
  change(placement: Placement, graceMs: number | undefined): void {
    this.#placement = placement;
    this.#graceMs = graceMs;
    this.#wake();
  }

  /** The node is there again: it is asked at once, and soon again should it not be ready yet. */
  hurry(): void {
    this.#tries = 0;
    this.#wake();
  }

  /** Asks no more. Twice is as once. */
  abandon(): void {
    this.#abandoned.abort(new DOMException('the placement is given up', 'AbortError'));
    this.#wake();
  }

  /** Resolves with the answer of the node, and with nothing once it is given up. To be called once. */
  async run(): Promise<Delivered | undefined> {
    const { signal } = this.#abandoned;
    let isCertain = this.options.isResumed !== true;
    while (!signal.aborted) {
      const placement = this.#placement;
      this.#tries += 1;
      let delivered: Delivered | undefined;
      try {
        delivered = await this.#try(placement, isCertain);
      } catch (error) {
        if (signal.aborted) return undefined;
        const refusal = this.#refusalOf(error, placement, isCertain);
        if (refusal !== undefined) delivered = { kind: 'refused', error: refusal, isCertain };
        isCertain &&= wasNotSent(error) || refusalOf(error) !== undefined;
      }
      // It was told otherwise meanwhile: what was accepted is to be ended now.
      const isMeant = this.#placement === placement;
      if (delivered !== undefined && (isMeant || delivered.kind !== 'accepted')) return delivered;
      if (isMeant) await this.#pause();
    }
    return undefined;
  }

  /** What ends the tries; `undefined` where the node is to be asked again. */
  #refusalOf(error: unknown, { id, target, wish }: Placement, isCertain: boolean): JobError | undefined {
    this.#deps.logger.debug({ job_id: id, peer: target, err: error }, 'placement tried');
    const { insists = false, hasOthers = false } = this.options;
    if (wish === 'run' && hasOthers && isCertain && wasNotSent(error)) return notSent(target, error);
    const refusal = refusalOf(error);
    return refusal?.retryable === true && (insists || wish !== 'run') ? undefined : refusal;
  }

  async #try({ id, target, wish, request }: Placement, isFirst: boolean): Promise<Delivered> {
    const { courier, clock } = this.#deps;
    using limited = new LinkedSignal([this.#abandoned.signal], { clock, limitMs: TRY_LIMIT_MS });
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
    const grace = this.#graceMs === undefined ? {} : { graceMs: this.#graceMs };
    const ending = courier.end(target, id, { removes: wish === 'remove', ...grace }, limited.signal);
    return { kind: 'ended', job: await abortable(ending, limited.signal) };
  }

  async #pause(): Promise<void> {
    if (this.#abandoned.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#deps.clock.after(backoffMs(BACKOFF, this.#tries), resolve);
    this.#wake = resolve;
    await promise;
    this.#wake = () => undefined;
  }
}

function wasRemoved(error: unknown): boolean {
  return (
    error instanceof CodedError && error.code === 'idempotency_conflict' && error.details['removed'] === true
  );
}
