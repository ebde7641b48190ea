import type { NodeId } from '../kernel/ids.ts';

/** Calls between two nodes, each way. */
export const MAX_CALLS_PER_PEER = 32;
/** Of those, calls that may take minutes: the others are for what is answered at once, however many wait or follow a log. */
export const MAX_LONG_CALLS_PER_PEER = 24;
/** Calls with all peers together, each way, and those of them that may take minutes. */
export const MAX_CALLS = 256;
export const MAX_LONG_CALLS = 192;

interface Taken {
  all: number;
  long: number;
}

/** Calls under way: so many with each peer, and so many in all. */
export class CallPlaces {
  readonly #peers = new Map<NodeId, Taken>();
  readonly #total: Taken = { all: 0, long: 0 };

  get count(): number {
    return this.#total.all;
  }

  /** Dispose it when the call is over; `undefined` when there is no place left. */
  take(peer: NodeId, isLong = false): Disposable | undefined {
    const taken = this.#peers.get(peer) ?? { all: 0, long: 0 };
    if (taken.all >= MAX_CALLS_PER_PEER || this.#total.all >= MAX_CALLS) return undefined;
    if (isLong && (taken.long >= MAX_LONG_CALLS_PER_PEER || this.#total.long >= MAX_LONG_CALLS))
      return undefined;
    this.#peers.set(peer, taken);
    for (const each of [taken, this.#total]) add(each, 1, isLong);
    return {
      [Symbol.dispose]: () => {
        for (const each of [taken, this.#total]) add(each, -1, isLong);
        if (taken.all === 0) this.#peers.delete(peer);
      },
    };
  }
}

function add(taken: Taken, count: number, isLong: boolean): void {
  taken.all += count;
  if (isLong) taken.long += count;
}
