import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';

const CHECK_INTERVAL_MS = 1_000;
/** Streams of gossip are opened one after the other, each within its own limit. */
const GRACE_MS = 10_000;
/** A peer that was reached before is not reached again by itself. */
const LOST_GRACE_MS = 2_000;

export interface GossipWatchDependencies {
  readonly clock: Clock;
  readonly connected: () => readonly NodeId[];
  readonly canReach: (peer: NodeId) => boolean;
  /** Told of a peer that is connected, and has not been reached by gossip for a while. */
  readonly onUnreached: (peer: NodeId) => void;
}

/**
 * Gossipsub opens its stream to a peer once, when that connects: when the stream is reset (the peer was slow, or the stream was
 * on the one of two connections that was given up), the peer hears nothing more for as long as it is connected. Nothing
 * else would show it.
 */
export class GossipWatch implements Disposable {
  readonly #deps: GossipWatchDependencies;
  readonly #unreachedSinceMs = new Map<NodeId, number>();
  readonly #reached = new Set<NodeId>();
  #nextCheck: Disposable;

  constructor(deps: GossipWatchDependencies) {
    this.#deps = deps;
    this.#nextCheck = this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#nextCheck[Symbol.dispose]();
  }

  #schedule(): Disposable {
    return this.#deps.clock.after(CHECK_INTERVAL_MS, () => {
      this.#nextCheck = this.#schedule();
      this.#check();
    });
  }

  #check(): void {
    const { clock, connected, canReach, onUnreached } = this.#deps;
    const nowMs = clock.monotonicMs();
    const peers = new Set(connected());
    for (const known of [this.#reached, this.#unreachedSinceMs])
      for (const peer of known.keys()) if (!peers.has(peer)) known.delete(peer);
    for (const peer of peers) {
      if (canReach(peer)) {
        this.#reached.add(peer);
        this.#unreachedSinceMs.delete(peer);
        continue;
      }
      const sinceMs = this.#unreachedSinceMs.get(peer) ?? nowMs;
      this.#unreachedSinceMs.set(peer, sinceMs);
      if (nowMs - sinceMs < (this.#reached.has(peer) ? LOST_GRACE_MS : GRACE_MS)) continue;
      this.#unreachedSinceMs.delete(peer);
      this.#reached.delete(peer);
      onUnreached(peer);
    }
  }
}
