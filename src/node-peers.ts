import { join } from 'node:path';
import { ClusterPeers } from './api/cluster-peers.ts';
import type { IdentityView } from './api/wire.ts';
import type { Config } from './config/settings.ts';
import { TUNNEL_PROTOCOL, type TunnelNetwork } from './frontdoor/tunnel-network.ts';
import { ClusterJobs } from './jobs/cluster-jobs.ts';
import { JobFeed } from './jobs/job-feed.ts';
import type { JobMirror } from './jobs/job-mirror.ts';
import type { JobLog } from './jobs/job-log.ts';
import type { JobManager } from './jobs/job-manager.ts';
import type { JobStore } from './jobs/job-store.ts';
import { MirroredJobs } from './jobs/mirrored-jobs.ts';
import { facetsOf } from './jobs/record-reader.ts';
import { JobPlacement } from './jobs/placement/job-placement.ts';
import type { OutboxStore } from './jobs/placement/outbox-store.ts';
import { carriedCallHandler } from './jobs/serve-calls.ts';
import type { RuntimeDriver } from './runtime/driver.ts';
import type { Telemetry } from './telemetry/telemetry.ts';
import type { Clock } from './kernel/clock.ts';
import type { InvariantError } from './kernel/errors.ts';
import type { JobId, NodeId } from './kernel/ids.ts';
import { inspectRecord, recordSource } from './node-records.ts';
import { writeAddressFile } from './peers/address-file.ts';
import { PeerCalls } from './peers/calls.ts';
import { FilePeerBook } from './peers/file-peer-book.ts';
import type { Identity } from './peers/identity.ts';
import type { Membership } from './peers/membership.ts';
import { encodeCard } from './peers/node-card.ts';
import { FaultLog } from './peers/replication/fault-log.ts';
import { Replicator } from './peers/replication/replicator.ts';
import { SILENT_MS } from './peers/replication/silence.ts';
import { SYNC_PROTOCOL } from './peers/replication/sync-messages.ts';
import { Ed25519Signing } from './peers/signing.ts';
import { SqliteMirrorStore } from './store/sqlite-mirror-store.ts';
import type { HealthPart } from './telemetry/health.ts';
import type { Logger } from './telemetry/logger.ts';
import type { PeerMetrics } from './telemetry/peer-metrics.ts';

export interface NodePeersOptions {
  readonly config: Config;
  readonly dataDir: string;
  readonly identity: Identity;
  readonly membership: Membership;
  readonly self: Omit<IdentityView, 'addresses'>;
  readonly version: string;
}

export interface NodePeersDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PeerMetrics;
  readonly health: HealthPart;
  readonly log: JobLog;
  readonly store: JobStore & OutboxStore & { readonly hasSpace: boolean };
  readonly own: JobManager;
  readonly engine: { readonly isAvailable: boolean };
  readonly driver: RuntimeDriver;
  readonly telemetry: Telemetry;
  readonly isDraining: () => boolean;
  readonly onFatal: (error: Error) => void;
}

/**
 * What makes one node of many: the network of its peers, the mirrors of their jobs, and the way to them. The second half of
 * the composition root: only here and in `node.ts` are adapters put together.
 */
export class NodePeers implements AsyncDisposable {
  readonly jobs: ClusterJobs;
  readonly view: ClusterPeers;
  /** The way to the containers of other nodes. */
  readonly tunnels: TunnelNetwork;
  readonly #replicator: Replicator;
  readonly #mirror: JobMirror;
  readonly #openForJobs: () => void;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    parts: AsyncDisposableStack,
    made: {
      replicator: Replicator;
      mirror: JobMirror;
      jobs: ClusterJobs;
      view: ClusterPeers;
      tunnels: TunnelNetwork;
      openForJobs: () => void;
    },
  ) {
    this.#parts = parts;
    this.#replicator = made.replicator;
    this.#mirror = made.mirror;
    this.tunnels = made.tunnels;
    this.#openForJobs = made.openForJobs;
    this.jobs = made.jobs;
    this.view = made.view;
  }

  /** Listens for peers and looks for them. Fails with the code of the system call when it cannot listen. */
  static async start(options: NodePeersOptions, deps: NodePeersDependencies): Promise<NodePeers> {
    const { config, dataDir, identity } = options;
    const { clock, logger, own, log, store, onFatal } = deps;
    await using parts = new AsyncDisposableStack();
    // libp2p takes longer to load than everything else: a node without peers does without.
    const loading = import('./peers/libp2p/libp2p-network.ts');
    let onDamage: (owner: NodeId) => void = () => undefined;
    const mirrorStore = parts.use(
      new SqliteMirrorStore({
        directory: dataDir,
        facetsOf,
        wallMs: () => clock.wallMs(),
        hasSpace: () => store.hasSpace,
        onFatal,
        onDamage: (owner) => onDamage(owner),
        onSetAside: (file, reason) =>
          logger.warn({ file, reason }, 'mirrors set aside, they are fetched anew'),
      }),
    );
    const { startPeerNetwork } = await loading;
    const network = await startPeerNetwork(networkOptions(options), {
      clock,
      logger,
      book: parts.use(FilePeerBook.open(join(dataDir, 'peers.json'), { clock, logger })),
      telemetry: {
        refused: (reason) => deps.metrics.peerRefused(reason),
        gossip: (event) => deps.metrics.gossiped(event),
        streamRefused: () => deps.metrics.peerRefused('stream'),
      },
    });
    parts.use(network);
    const { nodeId } = identity;
    const reports = parts.use(
      new FaultLog({ clock, logger, telemetry: deps.metrics, nodeId, health: deps.health }),
    );
    const replicator = parts.use(
      new Replicator(
        {
          tombstoneMs: config['retention.tombstones'],
          card: () =>
            encodeCard({ name: options.self.name, version: options.version, isDraining: deps.isDraining() }),
          isAllowed: (owner) => network.isAllowed(owner),
        },
        {
          network,
          log: new JobFeed({ log, store }),
          store: mirrorStore,
          signing: new Ed25519Signing(identity),
          clock,
          reports,
          inspect: inspectRecord,
        },
      ),
    );
    onDamage = (owner) => replicator.mistrust(owner);
    const calls = new PeerCalls({
      network,
      clock,
      logger,
      onInvariantError: (error: InvariantError) => onFatal(error),
    });
    const locate = (key: string, signal: AbortSignal): Promise<void> => replicator.locate(key, signal);
    const mirror = new MirroredJobs(
      { silentMs: SILENT_MS },
      { source: recordSource({ mirror: replicator.mirror, store: mirrorStore, locate, clock }), clock },
    );
    const maxWaitMs = config['limits.wait'];
    const jobs = new ClusterJobs({ own, owner: identity.nodeId, mirror, carrier: calls, clock, maxWaitMs });
    const placement = parts.use(
      new JobPlacement({
        owner: identity.nodeId,
        jobs: own,
        log,
        store,
        mirror,
        carrier: calls,
        members: network,
        engine: deps.engine,
        driver: deps.driver,
        clock,
        logger,
        telemetry: deps.telemetry,
      }),
    );
    calls.serve(carriedCallHandler(own, placement.host));
    const records = {
      owners: () => replicator.mirror.owners(),
      forget: (owner: NodeId) => replicator.forget(owner),
    };
    const view = new ClusterPeers(options.self, { links: network, records, placements: placement, clock });
    deps.metrics.watch({
      connected: () => network.connected().length,
      lost: () => view.list().filter(({ status }) => status === 'lost').length,
      mirrored: () => [...replicator.mirror.owners()].reduce((sum, owner) => sum + owner.recordCount, 0),
    });
    writeAddressFile(dataDir, network.addresses());
    deps.health.ok();
    logger.info(
      { addresses: network.addresses(), cluster: options.membership.clusterId },
      'peers can connect',
    );
    const openForJobs = (): void => {
      placement.start();
      jobs.placeBy(placement.placements);
    };
    const tunnels: TunnelNetwork = {
      connected: () => network.connected(),
      open: (peer, signal) => network.open(peer, TUNNEL_PROTOCOL, signal),
      handle: (handler) => network.handle(TUNNEL_PROTOCOL, handler),
    };
    return new NodePeers(parts.move(), { replicator, mirror, jobs, view, tunnels, openForJobs });
  }

  /** Jobs may come from other nodes, and go to them. Not before this node's own are known. */
  openForJobs(): void {
    this.#openForJobs();
  }

  /** The other node that a job belongs to, as far as it has been heard of. */
  ownerOf(id: JobId): NodeId | undefined {
    return this.#mirror.find(id)?.job.owner;
  }

  /** Tells the peers at once what has changed of this node itself. */
  announce(): void {
    this.#replicator.announce();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

function networkOptions({ config, identity, membership, version }: NodePeersOptions) {
  return {
    identity,
    clusterKey: membership.key,
    clusterId: membership.clusterId,
    listenAddress: config['peers.listen_address'] ?? config.listen_address,
    port: config.p2p_port,
    announce: config['peers.announce'],
    bootstrap: [...membership.bootstrap, ...config['peers.bootstrap']],
    mdns: config['peers.mdns'],
    allow: config['peers.allow'] as readonly NodeId[],
    maxConnections: config['peers.max_connections'],
    protocol: SYNC_PROTOCOL,
    agent: `container-manager/${version}`,
  };
}
