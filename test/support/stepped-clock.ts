import type { Clock } from '../../src/kernel/clock.ts';

/** Time that passes when a test says so. */
export class SteppedClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly action: () => void }>();

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Disposable {
    const timer = { atMs: this.#nowMs + delayMs, action };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets so much time pass; what becomes due runs in order, and everything it leads to at once, before what is due later. */
  async advance(ms: number): Promise<void> {
    await settle();
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ atMs }) => atMs <= endMs)
        .sort((one, other) => one.atMs - other.atMs);
      if (next === undefined) break;
      this.#nowMs = next.atMs;
      this.#timers.delete(next);
      next.action();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }
}

/** Everything that waits for nothing but promises has been done then. */
export function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
