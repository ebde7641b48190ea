import type { NodeId } from '../kernel/ids.ts';

/** Most peers that are remembered; beyond it the one that was seen longest ago is forgotten. */
export const MAX_BOOK_PEERS = 1024;
/** Most addresses of one peer; those told of last are kept. */
export const MAX_BOOK_ADDRESSES = 8;
/** Longest address; a multiaddr of a host name is the longest there is. */
export const MAX_ADDRESS_LENGTH = 320;

export interface BookEntry {
  readonly peer: NodeId;
  /** Multiaddrs without the peer's id, the one to try first in front. */
  readonly addresses: readonly string[];
  /** Wall clock, ms: for people, and for whom to forget first. */
  readonly lastSeenMs: number;
}

/** The peers that this node was once connected with, so that it finds them again after a restart. */
export interface PeerBook {
  /** Those seen last in front. */
  entries(): readonly BookEntry[];
  /** The peer is connected; `addresses` are put in front of those known. */
  saw(peer: NodeId, addresses: readonly string[]): void;
  /** Whether it was in it. */
  forget(peer: NodeId): boolean;
}

/** A book as it is in memory: bounded, and nothing else. */
export class BookPages {
  readonly #entries = new Map<NodeId, BookEntry>();

  /** Takes entries in the order in which it gives them. */
  constructor(entries: readonly BookEntry[] = []) {
    for (const entry of entries.toReversed().toSorted((a, b) => a.lastSeenMs - b.lastSeenMs))
      this.#put(entry);
  }

  entries(): readonly BookEntry[] {
    return [...this.#entries.values()].reverse();
  }

  saw(peer: NodeId, addresses: readonly string[], wallMs: number): void {
    const known = this.#entries.get(peer)?.addresses ?? [];
    const usable = addresses.filter((address) => address.length <= MAX_ADDRESS_LENGTH);
    const all = [...new Set([...usable, ...known])].slice(0, MAX_BOOK_ADDRESSES);
    this.#put({ peer, addresses: all, lastSeenMs: wallMs });
  }

  forget(peer: NodeId): boolean {
    return this.#entries.delete(peer);
  }

  /** The map's order is that of the last sight. */
  #put(entry: BookEntry): void {
    this.#entries.delete(entry.peer);
    this.#entries.set(entry.peer, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_BOOK_PEERS && oldest !== undefined) this.#entries.delete(oldest);
  }
}
