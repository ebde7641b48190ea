import type { Clock } from '../kernel/clock.ts';
import { ALIVE_FRAME } from './call-frames.ts';
import { PeerError } from './errors.ts';
import type { PeerStream } from './network.ts';

/** How often it is seen whether the caller was told anything: it hears of us at least once in twice this time. */
export const LOOK_INTERVAL_MS = 7_500;
/** A caller that takes nothing for so long is given up: whoever reads for a client gives that one up earlier. */
const STALL_MS = 120_000;

/** Writes the frames of a reply one after the other, no faster than the caller takes them, and a sign of life in between. */
export class ReplyWriter implements Disposable {
  readonly #stream: PeerStream;
  readonly #clock: Clock;
  /** The sign of life that is being written. */
  #sign: Promise<void> | undefined;
  #hasTold = false;
  /** When the frame that is being written was begun, monotonic ms. */
  #writingSinceMs: number | undefined;
  #nextLook: Disposable;

  constructor(stream: PeerStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#nextLook = this.#scheduleLook();
  }

  /** Resolves when there is room for more. Not to be called again before that. */
  async send(frame: Uint8Array): Promise<void> {
    if (this.#sign !== undefined) await this.#sign;
    await this.#write(frame);
  }

  [Symbol.dispose](): void {
    this.#nextLook[Symbol.dispose]();
  }

  async #write(frame: Uint8Array): Promise<void> {
    this.#hasTold = true;
    this.#writingSinceMs = this.#clock.monotonicMs();
    try {
      await this.#stream.write(frame);
    } finally {
      this.#writingSinceMs = undefined;
    }
  }

  #scheduleLook(): Disposable {
    // One timer for all frames: there may be many thousands of them a second.
    return this.#clock.after(LOOK_INTERVAL_MS, () => {
      this.#nextLook = this.#scheduleLook();
      const since = this.#writingSinceMs;
      if (since === undefined) {
        if (!this.#hasTold) this.#giveSign();
      } else if (this.#clock.monotonicMs() - since >= STALL_MS) {
        this.#stream.abort(new PeerError('peer_unreachable', `the caller took nothing for ${STALL_MS} ms`));
      }
      this.#hasTold = false;
    });
  }

  #giveSign(): void {
    // Where it cannot be written, what comes next cannot either, and says so.
    this.#sign = this.#write(ALIVE_FRAME)
      .catch(() => undefined)
      .finally(() => (this.#sign = undefined));
  }
}
