import type { NodeId } from '../../kernel/ids.ts';
import type { Identity } from '../identity.ts';
import type { StreamProtocol } from '../network.ts';

/** What a node is among its peers. */
export interface MemberOptions {
  readonly identity: Identity;
  /** 32 bytes; the key of the private network is derived from it. */
  readonly clusterKey: Uint8Array;
  readonly clusterId: string;
  /** Multiaddrs to tell others in place of those listened on. */
  readonly announce: readonly string[];
  readonly maxConnections: number;
  /** What this node calls itself to its peers. */
  readonly agent: string;
}

export interface PeerNetworkOptions extends MemberOptions {
  /** A name or an address. */
  readonly listenAddress: string;
  /** 0 is any that is free. */
  readonly port: number;
  /** Multiaddrs of peers to connect with, with or without the peer's id. */
  readonly bootstrap: readonly string[];
  /** Whether to look for peers on the local network. */
  readonly mdns: boolean;
  /** Who may connect; everybody with the cluster's key when it is empty. */
  readonly allow: readonly NodeId[];
  /** Every node speaks it; a peer that speaks no version of the same major number is refused. */
  readonly protocol: StreamProtocol;
}
