import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface';
import type { NodeId } from '../../kernel/ids.ts';
import { splitAddress } from './addresses.ts';
import { DIAL_LIMIT_MS, MAX_CONNECTIONS_PER_PEER } from './limits.ts';
import type { Refusals } from './refusals.ts';

/** A connection older than any dial can last was not made by a dial at the same moment. */
const SAME_MOMENT_MS = DIAL_LIMIT_MS + 1_000;

export interface PeerGateDependencies {
  readonly nodeId: NodeId;
  readonly refusals: Refusals;
  /** Connections of a peer that are open. */
  readonly connectionsOf: (peer: PeerId) => readonly Connection[];
  readonly ageMs: (connection: Connection) => number;
  /** We have dialled an address, and found a peer there that is connected already. */
  readonly onFoundAgain: (peer: NodeId, address: string) => void;
  /** The peer of these connections connects again, and is refused while they last. */
  readonly onDoubted: (connections: readonly Connection[]) => void;
}

/** Decides who may connect, once it is proved who it is, and which of two connections to one peer stays. */
export class PeerGate {
  readonly #deps: PeerGateDependencies;
  readonly #allowed: Set<NodeId> | undefined;
  readonly #denied = new Set<NodeId>();

  /** With nobody in `allow`, everybody who has the cluster's key is. */
  constructor(allow: readonly NodeId[], deps: PeerGateDependencies) {
    this.#deps = deps;
    this.#allowed = allow.length === 0 ? undefined : new Set(allow);
  }

  isAllowed(peer: NodeId): boolean {
    return peer !== this.#deps.nodeId && !this.#denied.has(peer) && (this.#allowed?.has(peer) ?? true);
  }

  allow(peer: NodeId): void {
    this.#denied.delete(peer);
    this.#allowed?.add(peer);
  }

  deny(peer: NodeId): void {
    this.#denied.add(peer);
    this.#allowed?.delete(peer);
  }

  /** What libp2p asks. */
  get gater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => !this.isAllowed(peer.toString() as NodeId),
      // Without this libp2p refuses addresses of the local network when it thinks it runs in a browser.
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: (peer, connection) =>
        this.#isRefused(peer, connection) || this.#isSurplusInbound(peer),
      denyOutboundEncryptedConnection: (peer, connection) =>
        this.#isRefused(peer, connection) || this.#isSurplusOutbound(peer, connection),
    };
  }

  /** We dial who is not connected: by now the peer was faster, or we did not know who is at that address. */
  #isSurplusOutbound(peer: PeerId, { remoteAddr }: MultiaddrConnection): boolean {
    if (this.#deps.connectionsOf(peer).length === 0) return false;
    this.#deps.onFoundAgain(peer.toString() as NodeId, splitAddress(remoteAddr.toString()).address);
    return true;
  }

  #isRefused(peer: PeerId, { remoteAddr }: MultiaddrConnection): boolean {
    const { refusals } = this.#deps;
    if (peer.type !== 'Ed25519') {
      refusals.refused('not_ed25519', remoteAddr.toString());
      return true;
    }
    if (this.isAllowed(peer.toString() as NodeId)) return false;
    refusals.refused('not_allowed', remoteAddr.toString(), { peer: peer.toString() });
    return true;
  }

  /**
   * Nobody dials whom it is connected with. So either both dialled at the same moment, and the dial of the lower id stays,
   * which the side of the lower id sees to; or the peer has lost the connection that we still hold, and ours is ended. Where it may be
   * either, ours has to be answered on.
   */
  #isSurplusInbound(peer: PeerId): boolean {
    const connections = this.#deps.connectionsOf(peer);
    const [connection] = connections;
    if (connection === undefined) return false;
    const isFull = connections.length >= MAX_CONNECTIONS_PER_PEER;
    if (!isFull && this.#deps.ageMs(connection) > SAME_MOMENT_MS) {
      connection.abort(new Error('the peer has connected anew'));
      return false;
    }
    const isSurplus = isFull || (connection.direction === 'outbound' && this.#deps.nodeId < peer.toString());
    if (isSurplus) this.#deps.onDoubted(connections);
    return isSurplus;
  }
}
