import type { Clock } from '../kernel/clock.ts';

/** Notices that something that is waited for takes too long. One timer for any number of waits, one after the other. */
export class SilenceWatch implements Disposable {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onSilent: () => void;
  #waitingSinceMs: number | undefined;
  #timer: Disposable;

  constructor(clock: Clock, limitMs: number, onSilent: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onSilent = onSilent;
    this.#timer = this.#arm(limitMs);
  }

  /** What `step` leads to; `onSilent` is called when it takes longer than the limit. */
  async during<T>(step: Promise<T>): Promise<T> {
    this.#waitingSinceMs = this.#clock.monotonicMs();
    try {
      return await step;
    } finally {
      this.#waitingSinceMs = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #arm(delayMs: number): Disposable {
    return this.#clock.after(delayMs, () => {
      const since = this.#waitingSinceMs;
      const leftMs = since === undefined ? this.#limitMs : since + this.#limitMs - this.#clock.monotonicMs();
      if (leftMs <= 0) this.#onSilent();
      else this.#timer = this.#arm(leftMs);
    });
  }
}
