import { multiaddrList, peerIdList } from '../list-types.ts';
import { integer } from '../number-types.ts';
import type { Settings } from '../setting.ts';
import { boolean, host } from '../text-types.ts';

/** The cluster. */
export const PEERS = {
  'peers.enabled': {
    type: boolean(),
    default: true,
    text: 'whether this node takes part in a cluster; if not, nothing listens on `p2p_port`',
  },
  'peers.listen_address': {
    type: host(),
    text: 'the address peers connect to; unset: `listen_address`',
  },
  'peers.announce': {
    type: multiaddrList(),
    default: [],
    text: 'addresses this node is reached at by its peers, where they are not those it listens on',
  },
  'peers.bootstrap': {
    type: multiaddrList(),
    default: [],
    text: 'peers to connect to at the start, besides those that are known or found',
  },
  'peers.mdns': {
    type: boolean(),
    default: true,
    text: 'whether peers are looked for on the local network',
  },
  'peers.allow': {
    type: peerIdList(),
    default: [],
    text: 'ids of the only nodes that may be peers; empty: whoever has the cluster key',
  },
  'peers.max_connections': {
    type: integer({ min: 2, max: 1024, unit: 'connections' }),
    default: 64,
    text: 'most connections with peers at once',
  },
} as const satisfies Settings;
