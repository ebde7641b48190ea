import type { Clock } from '../kernel/clock.ts';

const MAX_TRIES = 10;
const WINDOW_MS = 60_000;
/** Addresses remembered. Beyond it the one that began longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;

/** Counts wrong tokens per address: after ten within a minute, the rest of that minute is closed to it. */
export class WrongTries {
  readonly #clock: Clock;
  readonly #windows = new Map<string, { count: number; readonly endsAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long the address has to wait, in ms; 0 when it may try. */
  waitMs(address: string): number {
    const window = this.#windows.get(address);
    if (window === undefined) return 0;
    const leftMs = window.endsAtMs - this.#clock.monotonicMs();
    if (leftMs <= 0) {
      this.#windows.delete(address);
      return 0;
    }
    return window.count >= MAX_TRIES ? leftMs : 0;
  }

  /** One wrong try. Ask `waitMs` first, which ends a window that is over. */
  add(address: string): void {
    const window = this.#windows.get(address);
    if (window !== undefined) {
      window.count += 1;
      return;
    }
    if (this.#windows.size >= MAX_ADDRESSES) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    this.#windows.set(address, { count: 1, endsAtMs: this.#clock.monotonicMs() + WINDOW_MS });
  }
}
