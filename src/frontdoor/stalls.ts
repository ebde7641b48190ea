import { Socket } from 'node:net';
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

/** Of a way through another node the socket at its other end is that node's to look at. */
function isSocket(side: Channel): side is Channel & Socket {
  return side instanceof Socket;
}
