import type { NodeId } from '../kernel/ids.ts';

/** Calls between two nodes, each way: each may hold a log open, or wait for minutes. */
export const MAX_CALLS_PER_PEER = 32;
/** Calls with all peers together, each way. */
export const MAX_CALLS = 256;

/** Calls under way: so many with each peer, and so many in all. */
export class CallPlaces {
  readonly #taken = new Map<NodeId, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Dispose it when the call is over; `undefined` when there is no place left. */
  take(peer: NodeId): Disposable | undefined {
    const taken = this.#taken.get(peer) ?? 0;
    if (taken >= MAX_CALLS_PER_PEER || this.#count >= MAX_CALLS) return undefined;
    this.#taken.set(peer, taken + 1);
    this.#count += 1;
    return { [Symbol.dispose]: () => this.#free(peer) };
  }

  #free(peer: NodeId): void {
    this.#count -= 1;
    const left = (this.#taken.get(peer) ?? 1) - 1;
    if (left === 0) this.#taken.delete(peer);
    else this.#taken.set(peer, left);
  }
}
