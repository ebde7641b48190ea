import type { Clock } from '../../src/kernel/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
  isCancelled: boolean;
}

/** Time that passes only when it is told to: every timer fires in its turn, and what it leads to has happened before the next. */
export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  #order = 0;
  /** The next one last. */
  readonly #timers: Timer[] = [];

  wallMs(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Disposable {
    const timer: Timer = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      action,
      isCancelled: false,
    };
    this.#timers.splice(this.#placeOf(timer), 0, timer);
    return { [Symbol.dispose]: () => void (timer.isCancelled = true) };
  }

  /** Lets `durationMs` pass. */
  async pass(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const next = this.#timers.at(-1);
      if (next === undefined || next.dueMs > endMs) break;
      this.#timers.pop();
      if (next.isCancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.action();
      await settled();
    }
    this.#nowMs = endMs;
    await settled();
  }

  #placeOf({ dueMs, order }: Timer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#timers[middle] as Timer;
      const isBefore = other.dueMs > dueMs || (other.dueMs === dueMs && other.order > order);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Resolves when every promise that can be settled by now has been, with all that followed from it. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
