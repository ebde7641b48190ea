import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { ADMISSION_LIMIT_MS } from './limits.ts';
import type { Refusals } from './refusals.ts';

export interface MembersDependencies {
  readonly clock: Clock;
  readonly refusals: Refusals;
  /** Of what peers speak, whether they are nodes of a version that understands ours. */
  readonly isSpoken: (protocols: readonly string[]) => boolean;
  /** Told of each connection that is admitted. */
  readonly onAdmitted: (peer: NodeId, identity: IdentifyResult) => void;
  readonly onChange: (peer: NodeId, isConnected: boolean) => void;
}

/** Between the refusal of a peer and the end of its connection. */
const REFUSAL_LINGER_MS = 500;
/** Of what a refused peer speaks, so much is logged. */
const MAX_TOLD_PROTOCOLS = 16;

interface Candidate {
  readonly openedAtMs: number;
  /** Ends the connection, if nothing comes before. */
  limit: Disposable;
  readonly admission: PromiseWithResolvers<void>;
}

/**
 * Who is connected. A connection counts only once identify has shown that the other side speaks our protocols: a dial that
 * succeeds says nothing, since the other side may still refuse us.
 */
export class Members {
  readonly #deps: MembersDependencies;
  readonly #admitted = new Map<NodeId, Connection[]>();
  readonly #open = new Map<Connection, Candidate>();

  constructor(deps: MembersDependencies) {
    this.#deps = deps;
  }

  connected(): NodeId[] {
    return [...this.#admitted.keys()];
  }

  /** The admitted connections of a peer, the oldest first. */
  connectionsOf(peer: NodeId): readonly Connection[] {
    return this.#admitted.get(peer) ?? [];
  }

  isConnected(peer: NodeId): boolean {
    return this.#admitted.has(peer);
  }

  /** Those that are not admitted yet, too. */
  openConnectionsOf(peer: PeerId): Connection[] {
    return [...this.#open.keys()].filter(
      (connection) => connection.remotePeer.equals(peer) && connection.status === 'open',
    );
  }

  ageMs(connection: Connection): number {
    const openedAtMs = this.#open.get(connection)?.openedAtMs;
    return openedAtMs === undefined ? 0 : this.#deps.clock.monotonicMs() - openedAtMs;
  }

  /** Resolves when the connection is admitted; rejects when it ends before. */
  admission(connection: Connection): Promise<void> {
    const candidate = this.#open.get(connection);
    return candidate?.admission.promise ?? Promise.reject(new Error('the connection has ended'));
  }

  opened(connection: Connection): void {
    const limit = this.#deps.clock.after(ADMISSION_LIMIT_MS, () => {
      connection.abort(new Error('the peer did not say what it speaks'));
    });
    const admission = Promise.withResolvers<void>();
    // Mostly nobody waits for it.
    admission.promise.catch(() => undefined);
    this.#open.set(connection, { openedAtMs: this.#deps.clock.monotonicMs(), limit, admission });
    if (connection.status !== 'open') this.closed(connection);
  }

  identified(identity: IdentifyResult): void {
    const { connection, protocols } = identity;
    const candidate = this.#open.get(connection);
    if (candidate === undefined || connection.status !== 'open') return;
    if (!this.#deps.isSpoken(protocols)) return this.#refuse(identity, candidate);
    candidate.limit[Symbol.dispose]();
    const peer = connection.remotePeer.toString() as NodeId;
    const others = this.connectionsOf(peer);
    if (others.includes(connection)) return;
    this.#admitted.set(peer, [...others, connection]);
    this.#deps.onAdmitted(peer, identity);
    candidate.admission.resolve();
    if (others.length === 0) this.#deps.onChange(peer, true);
  }

  closed(connection: Connection): void {
    const candidate = this.#open.get(connection);
    if (candidate === undefined) return;
    this.#open.delete(connection);
    candidate.limit[Symbol.dispose]();
    candidate.admission.reject(new Error('the other side ended the connection'));
    const peer = connection.remotePeer.toString() as NodeId;
    const connections = this.connectionsOf(peer);
    if (!connections.includes(connection)) return;
    const others = connections.filter((other) => other !== connection);
    if (others.length > 0) {
      this.#admitted.set(peer, others);
      // What hung on it, gossip before all, does not move to another one: the peer is connected anew.
      for (const other of others) other.abort(new Error('another connection of the peer has ended'));
      return;
    }
    this.#admitted.delete(peer);
    this.#deps.onChange(peer, false);
  }

  /** Ends every connection of a peer. */
  drop(peer: NodeId, reason: Error): void {
    for (const connection of [...this.#open.keys()])
      if (connection.remotePeer.toString() === peer) connection.abort(reason);
  }

  dropAll(reason: Error): void {
    for (const connection of [...this.#open.keys()]) connection.abort(reason);
  }

  /** Ended a moment later, so that the other side, too, learns why. */
  #refuse({ connection, protocols, agentVersion }: IdentifyResult, candidate: Candidate): void {
    candidate.limit[Symbol.dispose]();
    candidate.limit = this.#deps.clock.after(REFUSAL_LINGER_MS, () =>
      connection.abort(new Error('the peer speaks another version of the protocol')),
    );
    const facts = {
      peer: connection.remotePeer.toString(),
      agent: agentVersion,
      protocols: protocols.slice(0, MAX_TOLD_PROTOCOLS),
    };
    this.#deps.refusals.refused('protocol_version', connection.remoteAddr.toString(), facts);
  }
}
