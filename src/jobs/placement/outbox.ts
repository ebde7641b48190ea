import type { JobId, NodeId } from '../../kernel/ids.ts';
import { JobError } from '../errors.ts';
import { Delivery, type Delivered, type DeliveryDependencies, type DeliveryOptions } from './delivery.ts';
import type { Members } from './members.ts';
import type { OutboxStore, Placement, PlacementWish } from './outbox-store.ts';
import type { PendingAnswer } from './pending-answer.ts';

export interface OutboxDependencies extends DeliveryDependencies {
  readonly store: OutboxStore;
  readonly members: Pick<Members, 'subscribe'>;
}

/** Jobs that may wait to be accepted by their nodes at once; one more is refused. Copies, bounded by their parents, aside. */
export const MAX_PLACEMENTS = 1_000;
/** Jobs that may wait to be ended by their nodes at once; of more, the oldest is given up: its node may never return. */
export const MAX_ENDINGS = 10_000;

/**
 * Jobs on their way to other nodes: each is kept until its node has answered for good, and goes to no other node meanwhile,
 * however long that takes and however often this node starts again.
 */
export class Outbox implements AsyncDisposable {
  readonly #deps: OutboxDependencies;
  readonly #deliveries = new Map<JobId, Delivery>();
  /** Those whose answer is being recorded. */
  readonly #settling = new Set<Delivery>();
  /** Those that are in the store, or about to be, by what is wished of their nodes; oldest first. */
  readonly #stored = { run: new Set<JobId>(), end: new Set<JobId>() };
  readonly #loops = new Set<Promise<void>>();
  readonly #subscription: Disposable;
  #isClosed = false;

  /** Knows what an earlier life of this node has left, and goes on with it when `resume` is called. */
  constructor(deps: OutboxDependencies) {
    this.#deps = deps;
    this.#subscription = deps.members.subscribe((node, isConnected) => {
      if (isConnected) for (const delivery of this.#to(node)) delivery.hurry();
    });
    for (const placement of deps.store.placements()) this.#enter(placement, { isResumed: true });
  }

  /** Once, before anything is sent. */
  resume(): void {
    for (const delivery of this.#deliveries.values()) this.#begin(delivery);
  }

  /** Jobs that their nodes have not answered for. */
  placements(): Placement[] {
    return [...this.#deliveries.values()].map(({ placement }) => placement);
  }

  find(id: JobId): Placement | undefined {
    return this.#deliveries.get(id)?.placement;
  }

  /**
   * Gives a job to a node. Resolves when that is durable; it is under way then, or was already. The answer is that of its
   * node, for good. Fails with `queue_full` when too many are under way, and with a `StoreError` `store_full`.
   */
  async send(placement: Placement, options: DeliveryOptions = {}): Promise<PendingAnswer<Delivered>> {
    const earlier = this.#deliveries.get(placement.id);
    if (earlier !== undefined) return earlier.answer;
    if (options.isRemembered !== true) await this.#save(placement);
    const known = this.#deliveries.get(placement.id);
    if (known !== undefined) return known.answer;
    const delivery = this.#enter(placement, options);
    this.#begin(delivery);
    return delivery.answer;
  }

  /** The answer of a job's node; nothing for a job that is not under way. */
  answer(id: JobId): PendingAnswer<Delivered> | undefined {
    return this.#deliveries.get(id)?.answer;
  }

  /** Has a job ended, and with `removes` forgotten, wherever it has come to. Resolves when the wish is durable. */
  async end(id: JobId, removes: boolean, graceMs?: number): Promise<void> {
    const delivery = this.#deliveries.get(id);
    if (delivery === undefined) return;
    const { placement } = delivery;
    const wish = removes || placement.wish === 'remove' ? 'remove' : 'end';
    if (placement.wish === wish) return;
    const changed: Placement = { ...placement, wish };
    const isStored = delivery.options.isRemembered !== true;
    if (isStored) await this.#deps.store.savePlacement(changed);
    // Answered while it was written.
    if (this.#settling.has(delivery) || this.#deliveries.get(id) !== delivery) {
      if (isStored) await this.#deps.store.dropPlacement(id);
      return;
    }
    if (isStored) this.#count(id, wish);
    delivery.change(changed, graceMs);
  }

  /** Asks the node of a job no more: as if it had no such job. Resolves when that is durable. */
  async giveUp(id: JobId): Promise<void> {
    const delivery = this.#deliveries.get(id);
    if (delivery === undefined) return;
    delivery.abandon();
    await this.#settle(delivery, { kind: 'ended', job: undefined });
  }

  /** Gives up all that is on its way to a node which will not return. */
  async forget(node: NodeId): Promise<void> {
    await Promise.all(this.#to(node).map(({ placement }) => this.giveUp(placement.id)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#subscription[Symbol.dispose]();
    for (const delivery of this.#deliveries.values()) delivery.abandon();
    await Promise.all(this.#loops);
  }

  #to(node: NodeId): Delivery[] {
    return [...this.#deliveries.values()].filter(({ placement }) => placement.target === node);
  }

  async #save(placement: Placement): Promise<void> {
    const { id, wish } = placement;
    if (wish === 'run' && this.#stored.run.size >= MAX_PLACEMENTS) throw tooMany();
    // Counted while it is written, so that no others take its place.
    this.#count(id, wish);
    try {
      await this.#deps.store.savePlacement(placement);
    } catch (error) {
      if (!this.#deliveries.has(id)) this.#uncount(id);
      throw error;
    }
  }

  #count(id: JobId, wish: PlacementWish): void {
    this.#uncount(id);
    this.#stored[wish === 'run' ? 'run' : 'end'].add(id);
    if (this.#stored.end.size <= MAX_ENDINGS) return;
    const [oldest = id] = this.#stored.end;
    this.#uncount(oldest);
    this.#deps.logger.warn({ job_id: oldest, limit: MAX_ENDINGS }, 'end of a job elsewhere given up');
    this.giveUp(oldest).catch((error: unknown) => this.#failed(oldest, error));
  }

  #uncount(id: JobId): void {
    this.#stored.run.delete(id);
    this.#stored.end.delete(id);
  }

  #enter(placement: Placement, options: DeliveryOptions): Delivery {
    const delivery = new Delivery(placement, options, this.#deps);
    this.#deliveries.set(placement.id, delivery);
    if (options.isRemembered !== true) this.#count(placement.id, placement.wish);
    return delivery;
  }

  #begin(delivery: Delivery): void {
    const loop = this.#deliver(delivery).catch((error: unknown) =>
      this.#failed(delivery.placement.id, error),
    );
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
  }

  /** What is on disk is the truth to start from again. */
  #failed(id: JobId, error: unknown): void {
    if (!this.#isClosed) this.#deps.logger.error({ job_id: id, err: error }, 'placement not delivered');
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const delivered = await delivery.run();
    if (delivered === undefined) return;
    const { id, target } = delivery.placement;
    if (delivered.kind === 'refused')
      this.#deps.logger.warn({ job_id: id, peer: target, code: delivered.error.code }, 'placement refused');
    await this.#settle(delivery, delivered);
  }

  async #settle(delivery: Delivery, delivered: Delivered): Promise<void> {
    if (this.#settling.has(delivery)) return;
    this.#settling.add(delivery);
    const { id } = delivery.placement;
    try {
      if (delivery.options.isRemembered !== true) await this.#deps.store.dropPlacement(id);
      this.#deliveries.delete(id);
      this.#uncount(id);
      delivery.answer.settle(delivered);
    } finally {
      this.#settling.delete(delivery);
    }
  }
}

function tooMany(): JobError {
  return new JobError('queue_full', `${MAX_PLACEMENTS} jobs are on their way to other nodes already`, {
    details: { limit: MAX_PLACEMENTS },
    retryable: true,
    retryAfterMs: 1_000,
  });
}
