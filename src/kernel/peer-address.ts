import { isIP } from 'node:net';
import { isHost } from './host.ts';
import type { NodeId } from './ids.ts';

/** An address of a peer (https://github.com/multiformats/multiaddr), taken apart. */
export interface PeerAddress {
  /** A host and a TCP port, such as `/ip4/192.0.2.7/tcp/4001`. */
  readonly place: string;
  /** Who is to answer there, where the address says it. */
  readonly nodeId: NodeId | undefined;
}

/** The parts of an address of a peer; `undefined` for any other text. */
export function parsePeerAddress(text: string): PeerAddress | undefined {
  const match = /^(\/(ip4|ip6|dns|dns4|dns6)\/([^/]{1,253})\/tcp\/(\d{1,5}))(?:\/p2p\/([^/]{1,128}))?$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [, place = '', kind, host = '', port, id] = match;
  const isRightHost = kind === 'ip4' ? isIP(host) === 4 : kind === 'ip6' ? isIP(host) === 6 : isHost(host);
  if (!isRightHost || Number(port) < 1 || Number(port) > 65_535) return undefined;
  if (id === undefined) return { place, nodeId: undefined };
  return isNodeId(id) ? { place, nodeId: id } : undefined;
}

/** The id of an Ed25519 key in base58 (libp2p specs, peer-ids/peer-ids.md): the only kind of key that nodes have. */
export function isNodeId(text: string): text is NodeId {
  return /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(text);
}
