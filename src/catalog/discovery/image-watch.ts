import { backoffMs } from '../../kernel/backoff.ts';
import { sleep } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { CatalogDeps } from '../ports.ts';

/** One push or build is several events. */
const SETTLE_MS = 500;
/** Between two subscriptions that broke. */
const RESUBSCRIBE_BACKOFF = { firstMs: 1_000, capMs: 30_000 };

/**
 * Calls `onHint` whenever the engine says that an image came, went or was given a name, and after each subscription, since
 * nobody knows what happened before it. An engine that is away is asked again, for as long as it takes.
 */
export class ImageWatch implements AsyncDisposable {
  readonly #deps: CatalogDeps;
  readonly #onHint: () => void;
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #next: Disposable | undefined;

  constructor(onHint: () => void, deps: CatalogDeps) {
    this.#onHint = onHint;
    this.#deps = deps;
    this.#following = this.#follow().catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the node stops', 'AbortError'));
    this.#next?.[Symbol.dispose]();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, driver, logger, whenAvailable } = this.#deps;
    for (let failures = 1; ; failures += 1) {
      const onSubscribed = (): void => {
        failures = 0;
        this.#onHint();
      };
      try {
        for await (const _event of driver.imageEvents({ signal, onSubscribed })) this.#hintSoon();
      } catch (error) {
        if (!signal.aborted) logger.debug({ reason: messageOf(error) }, 'events of images interrupted');
      }
      await sleep(clock, backoffMs(RESUBSCRIBE_BACKOFF, failures), signal);
      await whenAvailable?.(signal);
    }
  }

  #hintSoon(): void {
    this.#next ??= this.#deps.clock.after(SETTLE_MS, () => {
      this.#next = undefined;
      if (!this.#stop.signal.aborted) this.#onHint();
    });
  }
}
