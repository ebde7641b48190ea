import type { Clock } from '../kernel/clock.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { InstanceError } from './errors.ts';

/** Sooner than this there is hardly a place. */
const RETRY_AFTER_MS = 2_000;

interface Waiter<Wish, Place> {
  readonly wish: Wish;
  readonly resolve: (place: Place) => void;
  readonly reject: (reason: Error) => void;
}

/** Those who wait for a place, in the order in which they came: so many at once, each only so long. */
export class WaitingRoom<Wish, Place> {
  readonly #size: number;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #waiters = new Set<Waiter<Wish, Place>>();

  constructor(options: { readonly size: number }, deps: { clock: Clock; random?: () => number }) {
    this.#size = options.size;
    this.#clock = deps.clock;
    this.#random = deps.random ?? Math.random;
  }

  get count(): number {
    return this.#waiters.size;
  }

  /** Whether somebody waits whose wish is like this: whoever comes now comes after them. */
  has(isAlike: (wish: Wish) => boolean): boolean {
    return [...this.#waiters].some(({ wish }) => isAlike(wish));
  }

  /** Fails with `busy` when the room is full or the time is over, and with the signal's reason. */
  async wait(wish: Wish, limitMs: number, signal: AbortSignal): Promise<Place> {
    if (this.#waiters.size >= this.#size)
      throw this.#busy(`${this.#size} callers wait for an instance already`, { limit: this.#size });
    using limited = new LinkedSignal([signal], { clock: this.#clock, limitMs });
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const waiter: Waiter<Wish, Place> = { wish, resolve, reject };
    const onAbort = (): void => {
      // At once: a place that is given to nobody is lost.
      this.#waiters.delete(waiter);
      reject(
        limited.isTimedOut
          ? this.#busy(`no instance became free within ${limitMs} ms`, { waited_ms: limitMs })
          : (signal.reason as Error),
      );
    };
    this.#waiters.add(waiter);
    limited.signal.addEventListener('abort', onAbort, { once: true });
    if (limited.signal.aborted) onAbort();
    try {
      return await promise;
    } finally {
      this.#waiters.delete(waiter);
      limited.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Gives places to those who wait as long as there are any for them. */
  serve(take: (wish: Wish) => Place | undefined): void {
    for (const waiter of [...this.#waiters]) {
      const place = take(waiter.wish);
      if (place === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(place);
    }
  }

  /** Nobody gets a place any more. */
  dismiss(reason: Error): void {
    for (const waiter of [...this.#waiters]) {
      this.#waiters.delete(waiter);
      waiter.reject(reason);
    }
  }

  /** Says how long to stay away, with some chance in it, so that not all come back at once. */
  #busy(message: string, details: Readonly<Record<string, unknown>>): InstanceError {
    const retryAfterMs = Math.round(RETRY_AFTER_MS * (1 + this.#random()));
    return new InstanceError('busy', message, { details, retryable: true, retryAfterMs });
  }
}
