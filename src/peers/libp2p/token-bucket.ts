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

  /** Whether there was enough; nothing is taken when there was not. Of a bucket in debt not even nothing can be taken. */
  take(amount: number): boolean {
    this.#fill();
    if (this.#tokens < amount) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Takes what has been spent already, and leaves a debt where there was not enough. */
  charge(amount: number): void {
    this.#fill();
    this.#tokens -= amount;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#filledAtMs) / 1000) * this.#rate.perSecond;
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + gained);
  }
}
