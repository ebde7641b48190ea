import type { Clock } from '../../kernel/clock.ts';

export interface BucketRate {
  readonly perSecond: number;
  /** What may come at once after a pause. */
  readonly burst: number;
}

/** Lets so much pass per second. */
export class TokenBucket {
  readonly #rate: BucketRate;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(rate: BucketRate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  /** Whether there was enough; nothing is taken when there was not. */
  take(amount: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#filledAtMs) / 1000) * this.#rate.perSecond;
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + gained);
    if (this.#tokens < amount) return false;
    this.#tokens -= amount;
    return true;
  }
}
