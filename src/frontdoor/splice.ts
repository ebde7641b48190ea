import type { Duplex } from 'node:stream';
import { afterWriteOf } from './shared-reading.ts';

/** For what is on its way when one side has gone, and for the other to go as well, ms: then both are closed, whatever is left. */
const LINGER_MS = 5_000;

/**
 * Passes bytes between two sockets, both ways, until one of them goes: the other gets what was on its way to it and is closed, since
 * a WebSocket is no use in one direction. No frame is looked at. A side that does not read keeps the other from being read, so that
 * nothing piles up. `onClosed` is called once, when both are closed.
 */
export function splice(one: Duplex, other: Duplex, onClosed: () => void): void {
  const pair = new Pair(one, other, onClosed);
  pairs.set(one, pair);
  pairs.set(other, pair);
  pair.start();
}

/** Closes both sides of a splice, as when one of them had gone. */
export function endSplice(side: Duplex): void {
  pairs.get(side)?.finish();
}

/** By either side: listeners that all pairs share cost an idle one nothing. */
const pairs = new WeakMap<Duplex, Pair>();

class Pair {
  readonly #one: Duplex;
  readonly #other: Duplex;
  readonly #onClosed: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(one: Duplex, other: Duplex, onClosed: () => void) {
    this.#one = one;
    this.#other = other;
    this.#onClosed = onClosed;
  }

  start(): void {
    for (const side of [this.#one, this.#other]) {
      // What it failed with does not matter any more; without a listener it would end the process.
      side.on('error', ignore);
      side.on('data', onData).on('drain', onDrain).on('end', onGone).on('close', onClose);
    }
    if (this.#one.destroyed || this.#other.destroyed) this.finish();
    this.#one.resume();
    this.#other.resume();
    this.settle();
  }

  opposite(side: Duplex): Duplex {
    return side === this.#one ? this.#other : this.#one;
  }

  /** Once, however many signs of an end there are. */
  finish(): void {
    if (this.#timer !== undefined) return;
    for (const side of [this.#one, this.#other]) if (side.writable) side.end();
    this.#timer = setTimeout(() => {
      this.#one.destroy();
      this.#other.destroy();
    }, LINGER_MS);
  }

  settle(): void {
    if (!this.#one.closed || !this.#other.closed || !pairs.delete(this.#one)) return;
    pairs.delete(this.#other);
    clearTimeout(this.#timer);
    this.#onClosed();
  }
}

function onData(this: Duplex, chunk: Buffer): void {
  const to = pairs.get(this)?.opposite(this);
  if (to?.writable === true && !to.write(chunk, afterWriteOf(chunk))) this.pause();
}

function onDrain(this: Duplex): void {
  pairs.get(this)?.opposite(this).resume();
}

function onGone(this: Duplex): void {
  pairs.get(this)?.finish();
}

function onClose(this: Duplex): void {
  const pair = pairs.get(this);
  pair?.finish();
  // It may be in the middle of a long word to the one that went: only when it can say that to the end it hears that there is nobody.
  pair?.opposite(this).resume();
  pair?.settle();
}

function ignore(): void {
  // The close that follows says the rest.
}
