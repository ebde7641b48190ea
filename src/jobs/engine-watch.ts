import { messageOf } from '../kernel/errors.ts';
import { backoffMs } from '../kernel/backoff.ts';
import { sleep } from '../kernel/clock.ts';
import type { InstanceSummary, RuntimeEvent } from '../runtime/driver.ts';
import type { JobContext } from './context.ts';
import { isEngineAway } from './engine-gate.ts';
import { ownerLabels } from './instance-labels.ts';

/** Subscriptions begin a little before the last event: engines stamp events with their own clock. */
const OVERLAP_MS = 2_000;
/** Between two subscriptions that broke. */
const RESUBSCRIBE_BACKOFF = { firstMs: 1_000, capMs: 10_000 };

export interface EngineWatchOptions {
  readonly reconcileIntervalMs: number;
  readonly onEvent: (event: RuntimeEvent) => void;
  /** All containers that carry our labels. Called after every subscription and once an interval. */
  readonly onSnapshot: (instances: InstanceSummary[]) => Promise<void>;
}

/**
 * Keeps the node's view of the engine right: events make it quick, a list once an interval makes it true, since
 * events can be lost, and once when the engine is back. Subscribes first and lists then, so that nothing falls between.
 */
export class EngineWatch {
  readonly #context: JobContext;
  readonly #options: EngineWatchOptions;
  readonly #stop = new AbortController();
  readonly #labels: Readonly<Record<string, string>>;
  #reconciling: Promise<void> | undefined;
  #isReconcileDue = false;
  #lastEventMs: number | undefined;
  #recovery: Disposable | undefined;
  readonly #firstSnapshot = Promise.withResolvers<void>();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(context: JobContext, options: EngineWatchOptions) {
    this.#context = context;
    this.#options = options;
    this.#labels = ownerLabels(context.owner);
  }

  /** Begins to watch. Resolves when the first snapshot has been dealt with, or the engine does not answer. */
  async start(): Promise<void> {
    const isUp = await this.#context.gate.look();
    this.#recovery = this.#context.gate.subscribe((isAvailable) => {
      if (isAvailable) void this.#reconcileSafely();
    });
    const settled = (work: Promise<void>): Promise<void> => work.catch(() => undefined);
    this.#loops = Promise.all([settled(this.#followEvents()), settled(this.#reconcileForEver())]);
    if (isUp) await this.#firstSnapshot.promise;
  }

  async close(): Promise<void> {
    this.#stop.abort(new DOMException('the node stops', 'AbortError'));
    this.#recovery?.[Symbol.dispose]();
    await this.#loops;
  }

  /** Lists and reconciles now; a call while one is under way leads to one more after it. */
  reconcile(): Promise<void> {
    if (this.#reconciling !== undefined) {
      this.#isReconcileDue = true;
      return this.#reconciling;
    }
    this.#reconciling = this.#reconcileUntilSettled().finally(() => (this.#reconciling = undefined));
    return this.#reconciling;
  }

  async #reconcileUntilSettled(): Promise<void> {
    do {
      this.#isReconcileDue = false;
      const instances = await this.#context.driver.list(this.#labels, this.#stop.signal);
      await this.#options.onSnapshot(instances);
    } while (this.#isReconcileDue && !this.#stop.signal.aborted);
  }

  async #followEvents(): Promise<void> {
    const { gate, logger, clock } = this.#context;
    for (let failures = 1; ; failures += 1) {
      await gate.whenAvailable(this.#stop.signal);
      try {
        await this.#subscribe(() => {
          failures = 0;
          void this.#reconcileSafely().finally(this.#firstSnapshot.resolve);
        });
        gate.reportFailure(new Error('the event stream ended'));
      } catch (error) {
        this.#stop.signal.throwIfAborted();
        logger.warn({ err: error }, 'engine events interrupted');
        gate.reportFailure(error);
      }
      this.#firstSnapshot.resolve();
      await sleep(clock, backoffMs(RESUBSCRIBE_BACKOFF, failures), this.#stop.signal);
    }
  }

  async #subscribe(onSubscribed: () => void): Promise<void> {
    const events = this.#context.driver.events({
      labels: this.#labels,
      signal: this.#stop.signal,
      onSubscribed,
      ...(this.#lastEventMs === undefined ? {} : { sinceMs: this.#lastEventMs - OVERLAP_MS }),
    });
    for await (const event of events) {
      this.#lastEventMs = Math.max(this.#lastEventMs ?? 0, event.atMs);
      this.#options.onEvent(event);
    }
  }

  async #reconcileForEver(): Promise<void> {
    const { clock, gate } = this.#context;
    for (;;) {
      await sleep(clock, this.#options.reconcileIntervalMs, this.#stop.signal);
      await gate.whenAvailable(this.#stop.signal);
      await this.#reconcileSafely();
    }
  }

  async #reconcileSafely(): Promise<void> {
    try {
      await this.reconcile();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#context.logger.warn({ reason: messageOf(error) }, 'reconcile failed, will be repeated');
      if (isEngineAway(error)) this.#context.gate.reportFailure(error);
    }
  }
}
