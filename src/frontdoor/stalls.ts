import { Socket } from 'node:net';
import type { Clock } from '../kernel/clock.ts';
import type { Channel } from './opening.ts';
import { SendQueues } from './send-queues.ts';

/** How one side was when it was looked at. */
interface Look {
  /** All that was ever to be sent to it, bytes. */
  readonly handed: number;
  /** What of that it had not taken, bytes. */
  readonly waiting: number;
  /** The most that it has ever taken and sent, bytes: as long as this grows it is there. */
  readonly passed: number;
  /** Since when it has not grown while something waited, monotonic ms. */
  readonly sinceMs: number;
}

/**
 * Which sides take nothing of what waits for them, and send nothing. TCP itself gives a silent peer up soon, but one that owes it an
 * acknowledgement only after a quarter of an hour. About a side for which nothing waits nobody is asked.
 */
export class Stalls {
  readonly #limitMs: number;
  readonly #looks = new WeakMap<Channel, Look>();

  constructor(options: { readonly limitMs: number }) {
    this.#limitMs = options.limitMs;
  }

  /** Those for which something has waited all through the limit, without a sign of life. */
  async find(sides: Iterable<Channel>, nowMs: number): Promise<Channel[]> {
    const doubtful = [...sides].filter(isSocket).flatMap((side) => {
      const { bytesWritten: handed } = side;
      const before = this.#looks.get(side);
      return handed === (before?.handed ?? 0) && (before?.waiting ?? 0) === 0 ? [] : [{ side, handed }];
    });
    if (doubtful.length === 0) return [];
    // What is handed over from here on is looked at next time.
    const queues = await SendQueues.read();
    return doubtful.flatMap(({ side, handed }) => {
      const look = this.#look(side, handed, side.writableLength + queues.bytesOf(side), nowMs);
      return look.waiting > 0 && nowMs - look.sinceMs >= this.#limitMs ? [side] : [];
    });
  }

  #look(side: Channel, handed: number, waiting: number, nowMs: number): Look {
    const before = this.#looks.get(side);
    const passed = handed - waiting + side.bytesRead;
    const isStuck = before !== undefined && before.waiting > 0 && passed <= before.passed;
    const look = isStuck
      ? { handed, waiting, passed: before.passed, sinceMs: before.sinceMs }
      : { handed, waiting, passed, sinceMs: nowMs };
    this.#looks.set(side, look);
    return look;
  }
}

/** How often it is looked for them, of the time that they have: what has gone silently is to be gone soon. */
const LOOKS = 10;

export interface StallWatchDependencies {
  readonly clock: Clock;
  readonly logger: { warn(facts: object, message: string): void };
  /** All that are open. */
  readonly sides: () => Iterable<Channel>;
  /** Told of each that takes nothing. Must not throw. */
  readonly onStalled: (side: Channel) => void;
}

/** Looks for sides that take nothing, again and again, until it is disposed: one look serves all of them. */
export class StallWatch implements Disposable {
  readonly #stalls: Stalls;
  readonly #pauseMs: number;
  readonly #deps: StallWatchDependencies;
  #nextLook: Disposable | undefined;
  #isDisposed = false;
  /** It could not be found out what waits, and somebody was told. */
  #isBlind = false;

  /** `limitMs`: how long a side may take nothing; 0: none is looked for. */
  constructor(options: { readonly limitMs: number }, deps: StallWatchDependencies) {
    this.#stalls = new Stalls(options);
    this.#pauseMs = options.limitMs / LOOKS;
    this.#deps = deps;
    if (options.limitMs > 0) this.#lookLater();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#nextLook?.[Symbol.dispose]();
  }

  #lookLater(): void {
    if (this.#isDisposed) return;
    this.#nextLook = this.#deps.clock.after(this.#pauseMs, () => {
      void this.#look().then(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    const { clock, logger, sides, onStalled } = this.#deps;
    try {
      const stalled = await this.#stalls.find(sides(), clock.monotonicMs());
      stalled.forEach(onStalled);
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) logger.warn({ err: error }, 'it cannot be seen which sessions are stuck');
      this.#isBlind = true;
    }
  }
}

/** Of a way through another node the socket at its other end is that node's to look at. */
function isSocket(side: Channel): side is Channel & Socket {
  return side instanceof Socket;
}
