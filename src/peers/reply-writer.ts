import type { Clock } from '../kernel/clock.ts';
import { ALIVE_FRAME } from './call-frames.ts';
import { PeerError } from './errors.ts';
import type { PeerStream } from './network.ts';

/** After so long without anything to tell, the caller is told that we are still at it. */
export const ALIVE_INTERVAL_MS = 10_000;
/** A caller that takes nothing for so long is given up: whoever reads for a client gives that one up earlier. */
const STALL_MS = 120_000;

/** Writes the frames of a reply one after the other, no faster than the caller takes them, and a sign of life in between. */
export class ReplyWriter implements Disposable {
  readonly #stream: PeerStream;
  readonly #clock: Clock;
  #lastWrite: Promise<void> = Promise.resolve();
  #nextSign: Disposable;
  #isOver = false;

  constructor(stream: PeerStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#nextSign = this.#scheduleSign();
  }

  /** Resolves when there is room for more. */
  async send(frame: Uint8Array): Promise<void> {
    await this.#lastWrite;
    this.#nextSign[Symbol.dispose]();
    await this.#write(frame);
    this.#nextSign = this.#scheduleSign();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#nextSign[Symbol.dispose]();
  }

  #scheduleSign(): Disposable {
    return this.#clock.after(ALIVE_INTERVAL_MS, () => {
      this.#lastWrite = this.#giveSign();
    });
  }

  async #giveSign(): Promise<void> {
    try {
      await this.#write(ALIVE_FRAME);
    } catch {
      // What comes next cannot be written either, and says so.
      return;
    }
    if (!this.#isOver) this.#nextSign = this.#scheduleSign();
  }

  async #write(frame: Uint8Array): Promise<void> {
    const stalled = new PeerError('peer_unreachable', `the caller took nothing for ${STALL_MS} ms`);
    using _limit = this.#clock.after(STALL_MS, () => this.#stream.abort(stalled));
    await this.#stream.write(frame);
  }
}
