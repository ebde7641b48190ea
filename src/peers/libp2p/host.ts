import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import { gossipsub, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type { ConnectionGater, Libp2p, PeerInfo, PrivateKey } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';
import { invariant } from '../../kernel/errors.ts';
import { publicKeyOf, type Identity } from '../identity.ts';
import { clusterPsk } from './cluster-psk.ts';
import { gossipOptions } from './gossip-options.ts';
import {
  ADDRESS_DIAL_LIMIT_MS,
  DIAL_LIMIT_MS,
  INBOUND_UPGRADE_LIMIT_MS,
  MAX_INBOUND_PENDING,
  MAX_INBOUND_PER_HOST_PER_SECOND,
  MAX_PARALLEL_DIALS,
  MAX_PING_STREAMS,
  MAX_STREAMS,
  STREAM_OPEN_LIMIT_MS,
  STREAM_READ_BYTES,
  STREAM_WRITE_BYTES,
  TCP_BACKLOG,
  TCP_KEEP_ALIVE_MS,
} from './limits.ts';
import type { MemberOptions } from './options.ts';
import { privateNetwork } from './private-network.ts';
import { quietLogger } from './quiet-logger.ts';
import { WatchedEncrypter, WatchedTransport, type UpgradeWatch } from './watched-upgrades.ts';

export interface HostOptions extends MemberOptions {
  readonly topic: string;
  /** Multiaddrs. */
  readonly listen: readonly string[];
  readonly gater: ConnectionGater;
  readonly watch: UpgradeWatch;
  /** Told of peers on the local network; without it nobody is looked for there. */
  readonly onFound: ((peer: PeerInfo) => void) | undefined;
}

export type HostServices = {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly gossip: GossipSub;
};
export type Host = Libp2p<HostServices>;

/** libp2p with every limit set, not started yet. What it leaves open by default is in none of its parts. */
export async function createHost(options: HostOptions): Promise<Host> {
  const { identity, clusterId, watch, onFound, maxConnections } = options;
  const psk = clusterPsk(options.clusterKey);
  // Only who looks for peers there needs what it takes.
  const finder = onFound === undefined ? undefined : await import('./local-finder.ts');
  const host = await createLibp2p({
    start: false,
    privateKey: libp2pKey(identity),
    nodeInfo: { name: 'container-manager', version: '1', userAgent: options.agent },
    logger: quietLogger,
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [(components) => new WatchedTransport(tcp(tcpOptions(maxConnections))(components), watch)],
    connectionProtector: privateNetwork(psk),
    connectionEncrypters: [(components) => new WatchedEncrypter(noise()(components), watch)],
    streamMuxers: [yamux(YAMUX_OPTIONS)],
    connectionGater: options.gater,
    connectionManager: {
      maxConnections,
      inboundConnectionThreshold: MAX_INBOUND_PER_HOST_PER_SECOND,
      maxIncomingPendingConnections: MAX_INBOUND_PENDING,
      inboundUpgradeTimeout: INBOUND_UPGRADE_LIMIT_MS,
      inboundStreamProtocolNegotiationTimeout: STREAM_OPEN_LIMIT_MS,
      outboundStreamProtocolNegotiationTimeout: STREAM_OPEN_LIMIT_MS,
      dialTimeout: DIAL_LIMIT_MS,
      addressDialTimeout: ADDRESS_DIAL_LIMIT_MS,
      maxParallelDials: MAX_PARALLEL_DIALS,
      maxDialQueueLength: MAX_PARALLEL_DIALS,
      // Addresses come in the order in which they are to be tried.
      addressSorter: () => 0,
      reconnectRetries: 0,
    },
    // `DeadConnections` costs less.
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping({ maxInboundStreams: MAX_PING_STREAMS, maxOutboundStreams: MAX_PING_STREAMS }),
      gossip: gossipsub(gossipOptions(options.topic)),
      ...(finder !== undefined &&
        onFound !== undefined && {
          finder: (components) => new finder.LocalFinder(components, { clusterId, onFound }),
        }),
    },
  });
  invariant(
    host.peerId.toString() === identity.nodeId,
    `libp2p calls ${identity.nodeId} ${host.peerId.toString()}`,
  );
  return host as Host;
}

/** libp2p would work the public key out in JavaScript, which takes longer than all else that it does at the start. */
function libp2pKey({ seed, nodeId }: Identity): PrivateKey {
  return privateKeyFromRaw(Buffer.concat([seed, publicKeyOf(nodeId) ?? new Uint8Array()]));
}

const YAMUX_OPTIONS = {
  // `DeadConnections` pings already.
  enableKeepAlive: false,
  maxInboundStreams: MAX_STREAMS,
  maxOutboundStreams: MAX_STREAMS,
  streamOptions: {
    initialStreamWindowSize: STREAM_READ_BYTES,
    maxStreamWindowSize: STREAM_READ_BYTES,
    maxReadBufferLength: STREAM_READ_BYTES,
    maxWriteBufferLength: STREAM_WRITE_BYTES,
  },
} as const;

function tcpOptions(maxConnections: number) {
  const socket = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
  return {
    // Those that have not said yet who they are come on top.
    maxConnections: maxConnections + MAX_INBOUND_PENDING,
    backlog: TCP_BACKLOG,
    dialOpts: socket,
    listenOpts: socket,
  };
}
