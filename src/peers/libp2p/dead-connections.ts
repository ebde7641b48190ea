import type { Connection } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { PING_LIMIT_MS } from './limits.ts';

const CHECK_INTERVAL_MS = 1_000;
/** Twice the pause between two beacons of a peer. A dead connection is found within it, a check's interval and a ping's limit: 18 s. */
const SILENCE_MS = 10_000;
/** A peer that may have lost a connection answers on it within this, ms, or has. */
const DOUBT_LIMIT_MS = 1_000;
/** A connection that is not silent is pinged this often, for people who ask how far it is. */
const MEASURE_INTERVAL_MS = 300_000;

export interface DeadConnectionsDependencies {
  readonly clock: Clock;
  readonly connected: () => readonly NodeId[];
  /** The admitted connections of a peer. */
  readonly connectionsOf: (peer: NodeId) => readonly Connection[];
  /** When gossip of a peer last came, monotonic ms. */
  readonly heardAtMs: (peer: NodeId) => number | undefined;
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
}

/**
 * Aborts connections whose other side is there no more. The gossip of a peer, which it sends every few seconds, is its sign of life:
 * only who is silent is asked for one. libp2p's own monitor asks everybody all the time, which is a quarter of what an idle node
 * costs. Of two connections to one peer it is not known which one the gossip came by, so both are asked.
 */
export class DeadConnections implements Disposable {
  readonly #deps: DeadConnectionsDependencies;
  readonly #stop = new AbortController();
  /** When the connection last answered a ping, monotonic ms; `undefined` while it is asked. */
  readonly #answeredAtMs = new WeakMap<Connection, number | undefined>();
  #nextCheck: Disposable;

  constructor(deps: DeadConnectionsDependencies) {
    this.#deps = deps;
    this.#nextCheck = this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#nextCheck[Symbol.dispose]();
    this.#stop.abort(new Error('the node stops'));
  }

  /** The peer has connected again, as one does that has lost these connections: what told of their end may be lost as well. */
  doubt(connections: readonly Connection[]): void {
    for (const connection of connections) void this.#ask(connection, DOUBT_LIMIT_MS);
  }

  #schedule(): Disposable {
    return this.#deps.clock.after(CHECK_INTERVAL_MS, () => {
      this.#nextCheck = this.#schedule();
      this.#check();
    });
  }

  #check(): void {
    const { connected, connectionsOf, heardAtMs } = this.#deps;
    for (const peer of connected()) {
      const connections = connectionsOf(peer);
      const heardMs = connections.length === 1 ? heardAtMs(peer) : undefined;
      for (const connection of connections) if (this.#isDue(connection, heardMs)) void this.#ask(connection);
    }
  }

  #isDue(connection: Connection, heardMs = -Infinity): boolean {
    if (!this.#answeredAtMs.has(connection)) return true;
    const answeredMs = this.#answeredAtMs.get(connection);
    if (answeredMs === undefined) return false;
    const nowMs = this.#deps.clock.monotonicMs();
    const silentMs = nowMs - Math.max(answeredMs, heardMs);
    return silentMs >= SILENCE_MS || nowMs - answeredMs >= MEASURE_INTERVAL_MS;
  }

  async #ask(connection: Connection, limitMs = PING_LIMIT_MS): Promise<void> {
    const { clock, ping } = this.#deps;
    this.#answeredAtMs.set(connection, undefined);
    using limited = new LinkedSignal([this.#stop.signal], { clock, limitMs });
    // A refusal is a sign of life, too.
    await ping(connection, limited.signal).catch(() => undefined);
    if (limited.isTimedOut) connection.abort(new Error('the other side gives no sign of life'));
    else this.#answeredAtMs.set(connection, clock.monotonicMs());
  }
}
