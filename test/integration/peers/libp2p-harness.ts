import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../../src/kernel/clock.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { loadIdentity, type Identity } from '../../../src/peers/identity.ts';
import type { GossipEvent } from '../../../src/peers/libp2p/gossip.ts';
import { startPeerNetwork, type Libp2pNetwork } from '../../../src/peers/libp2p/libp2p-network.ts';
import type { PeerNetworkOptions } from '../../../src/peers/libp2p/options.ts';
import type { RefusalReason } from '../../../src/peers/libp2p/refusals.ts';
import type { StreamProtocol } from '../../../src/peers/network.ts';
import { BookPages, type PeerBook } from '../../../src/peers/peer-book.ts';
import type { Logger } from '../../../src/telemetry/logger.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { waitFor } from '../../support/wait-for.ts';

/** What a busy machine may need. */
const CONNECT_LIMIT_MS = 20_000;

export const MEMBER_PROTOCOL: StreamProtocol = {
  id: '/container-manager/sync/1.0.0',
  maxFrameBytes: 512 * 1024,
  maxInboundStreams: 16,
  maxInboundPerSecond: 50,
};

/** A node of the cluster, and what it logged and counted. */
export interface StartedPeer {
  readonly network: Libp2pNetwork;
  readonly address: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly refused: Map<RefusalReason, number>;
  readonly gossiped: Map<GossipEvent, number>;
  readonly streamsRefused: Map<string, number>;
  readonly book: PeerBook;
  readonly options: PeerNetworkOptions;
}

/** Peers on loopback in this process, all stopped at the end. */
export class Libp2pCluster implements AsyncDisposable {
  readonly clusterKey: Uint8Array = randomBytes(32);
  readonly directory = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  readonly #peers: StartedPeer[] = [];
  #count = 0;

  identity(): Identity {
    return loadIdentity(join(this.directory, `identity-${(this.#count += 1)}`));
  }

  /** With nobody to connect with, unless `options` tell. */
  async start(
    options: Partial<PeerNetworkOptions> = {},
    deps: { readonly book?: PeerBook; readonly clock?: Clock } = {},
  ): Promise<StartedPeer> {
    const { logger, lines } = recordingLogger();
    const refused = new Map<RefusalReason, number>();
    const gossiped = new Map<GossipEvent, number>();
    const streamsRefused = new Map<string, number>();
    const book = deps.book ?? memoryBook();
    const whole: PeerNetworkOptions = {
      identity: options.identity ?? this.identity(),
      clusterKey: this.clusterKey,
      clusterId: '0123456789abcdef',
      listenAddress: '127.0.0.1',
      port: 0,
      announce: [],
      bootstrap: [],
      mdns: false,
      allow: [],
      maxConnections: 64,
      protocol: MEMBER_PROTOCOL,
      agent: 'container-manager/test',
      ...options,
    };
    const network = await startPeerNetwork(whole, {
      clock: deps.clock ?? systemClock,
      logger,
      book,
      telemetry: {
        refused: (reason) => add(refused, reason),
        gossip: (event) => add(gossiped, event),
        streamRefused: (protocol) => add(streamsRefused, protocol),
      },
    });
    const [address = ''] = network.addresses();
    const peer = { network, address, log: lines, refused, gossiped, streamsRefused, book, options: whole };
    this.#peers.push(peer);
    return peer;
  }

  /** Two that are connected with each other, the second by way of the first's address. */
  async startPair(): Promise<[StartedPeer, StartedPeer]> {
    const first = await this.start();
    const second = await this.start({ bootstrap: [first.address] });
    await connected(first, second);
    return [first, second];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map(({ network }) => network[Symbol.asyncDispose]()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Resolves when each of them is connected with all others. */
export async function connected(...peers: StartedPeer[]): Promise<void> {
  await waitFor('peers to be connected', CONNECT_LIMIT_MS, () =>
    peers.every(({ network }) =>
      peers.every((other) => other.network === network || network.connected().includes(other.network.nodeId)),
    ),
  );
}

export function memoryBook(): PeerBook {
  const pages = new BookPages();
  return {
    entries: () => pages.entries(),
    saw: (peer: NodeId, addresses: readonly string[]) => pages.saw(peer, addresses, Date.now()),
    forget: (peer: NodeId) => pages.forget(peer),
  };
}

/** Lines of the log as they come, parsed. */
export function recordingLogger(): { logger: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { logger: createLogger({ level: 'debug', destination: { write } }), lines };
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
