import { join } from 'node:path';
import type { PeersView } from './api/ports.ts';
import type { IdentityView, PeerView } from './api/wire.ts';
import type { Config } from './config/settings.ts';
import { carriedCallHandler } from './jobs/carried/serve-calls.ts';
import { ClusterJobs } from './jobs/cluster-jobs.ts';
import { JobFeed } from './jobs/job-feed.ts';
import type { JobLog } from './jobs/job-log.ts';
import type { JobManager } from './jobs/job-manager.ts';
import type { JobStore } from './jobs/job-store.ts';
import { LEASE_MS, MirroredJobs, type RecordSource } from './jobs/mirrored-jobs.ts';
import { decodeRecord, RecordError } from './jobs/record.ts';
import type { Clock } from './kernel/clock.ts';
import { CodedError, messageOf, type InvariantError } from './kernel/errors.ts';
import type { NodeId } from './kernel/ids.ts';
import { writeAddressFile } from './peers/address-file.ts';
import { PeerCalls } from './peers/calls.ts';
import { PeerError } from './peers/errors.ts';
import { FilePeerBook } from './peers/file-peer-book.ts';
import type { Identity } from './peers/identity.ts';
import type { Libp2pNetwork } from './peers/libp2p/libp2p-network.ts';
import type { Membership } from './peers/membership.ts';
import { decodeCard, encodeCard } from './peers/node-card.ts';
import type { LogRecord } from './peers/replication/log-record.ts';
import { Replicator, type ReplicationReports } from './peers/replication/replicator.ts';
import { SYNC_PROTOCOL } from './peers/replication/sync-messages.ts';
import { Ed25519Signing } from './peers/signing.ts';
import type { Facets } from './store/mirror-row.ts';
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
  readonly store: JobStore;
  readonly own: JobManager;
  readonly isDraining: () => boolean;
  readonly onFatal: (error: Error) => void;
}

/** How often what is known of removals is looked through for what is old, ms. */
const COMPACTION_MS = 600_000;
/** A fault that lasts is said again so often, ms. */
const REPEAT_MS = 60_000;

/**
 * What makes one node of many: the network of its peers, the mirrors of their jobs, and the way to them. The second half of
 * the composition root: only here and in `node.ts` are adapters put together.
 */
export class NodePeers implements AsyncDisposable {
  readonly jobs: ClusterJobs;
  readonly view: PeersView;
  readonly #replicator: Replicator;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    parts: AsyncDisposableStack,
    replicator: Replicator,
    jobs: ClusterJobs,
    view: PeersView,
  ) {
    this.#parts = parts;
    this.#replicator = replicator;
    this.jobs = jobs;
    this.view = view;
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
        onFatal,
        onDamage: (owner) => onDamage(owner),
        onSetAside: (file, reason) =>
          logger.warn({ file, reason }, 'mirrors set aside, they are fetched anew'),
      }),
    );
    const incarnation = mirrorStore.nextIncarnation();
    const { startPeerNetwork } = await loading;
    const network = await startPeerNetwork(networkOptions(options), {
      clock,
      logger,
      book: parts.use(FilePeerBook.open(join(dataDir, 'peers.json'), { clock, logger })),
      telemetry: {
        connected: () => undefined,
        refused: (reason) => deps.metrics.peerRefused(reason),
        gossip: (event) => deps.metrics.gossiped(event, 0),
        streamRefused: () => deps.metrics.peerRefused('stream'),
      },
    });
    parts.use(network);
    const faults = new Faults(deps);
    const replicator = parts.use(
      new Replicator(
        {
          incarnation,
          card: () =>
            encodeCard({ name: options.self.name, version: options.version, isDraining: deps.isDraining() }),
          isAllowed: (owner) => isAllowed(config, owner),
        },
        {
          network,
          log: new JobFeed({ log, store }),
          store: mirrorStore,
          signing: new Ed25519Signing(identity),
          clock,
          reports: faults.reports(),
          inspect,
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
    calls.serve(carriedCallHandler(own));
    const mirror = new MirroredJobs({ source: recordSource(replicator, mirrorStore, clock), clock });
    const maxWaitMs = config['limits.wait'];
    const jobs = new ClusterJobs({ own, owner: identity.nodeId, mirror, carrier: calls, clock, maxWaitMs });
    const view = new NodePeersView(options.self, network, replicator, clock);
    deps.metrics.watch({
      connected: () => network.connected().length,
      lost: () => view.list().filter(({ status }) => status === 'lost').length,
      mirrored: () => [...replicator.mirror.owners()].reduce((sum, owner) => sum + owner.recordCount, 0),
    });
    writeAddressFile(dataDir, network.addresses());
    const compaction = setInterval(() => {
      mirrorStore.compact(clock.wallMs() - config['retention.tombstones']);
    }, COMPACTION_MS).unref();
    parts.defer(() => clearInterval(compaction));
    deps.health.ok();
    logger.info(
      { addresses: network.addresses(), cluster: options.membership.clusterId },
      'peers can connect',
    );
    return new NodePeers(parts.move(), replicator, jobs, view);
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

/** Who may connect may also have a log; whoever is known through others only must be on the list as well. */
function isAllowed(config: Config, owner: NodeId): boolean {
  const allowed = config['peers.allow'];
  return allowed.length === 0 || allowed.includes(owner);
}

/** Throws for a record that no node writes. One of a newer version is kept, for a newer version of this node to read. */
function inspect({ body }: LogRecord): void {
  if (body === undefined) return;
  try {
    decodeRecord(body);
  } catch (error) {
    if (error instanceof RecordError && error.code === 'record_version') return;
    throw new PeerError('peer_violation', `malformed job record: ${messageOf(error)}`, { cause: error });
  }
}

function facetsOf(body: Uint8Array): Facets | undefined {
  try {
    const { state, spec, createdAtMs } = decodeRecord(body);
    return { state, name: spec.name, createdAtMs };
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

function recordSource(replicator: Replicator, store: SqliteMirrorStore, clock: Clock): RecordSource {
  return {
    recordsOf: (key) => store.recordsOf(key),
    list: (query) => store.list(query),
    ageMsOf: (owner) => {
      const heardAtMs = replicator.mirror.state(owner)?.heardAtMs ?? Number.NEGATIVE_INFINITY;
      return Math.max(0, Math.round(clock.monotonicMs() - heardAtMs));
    },
    subscribe: (listener) =>
      replicator.mirror.subscribe((owner, { key, seq, body }) => {
        const epoch = replicator.mirror.state(owner)?.epoch ?? 0;
        listener({ owner, key, epoch, seq, body });
      }),
    locate: (key, signal) => replicator.locate(key, signal),
  };
}

/** Counts what is not as it should be, and says it, the same of the same node once a minute. */
class Faults {
  readonly #deps: NodePeersDependencies;
  readonly #saidAtMs = new Map<string, number>();

  constructor(deps: NodePeersDependencies) {
    this.#deps = deps;
  }

  reports(): ReplicationReports {
    const { metrics, logger, health } = this.#deps;
    return {
      onConflict: (owner, key) => this.#note('conflict', owner, { job_id: key }),
      onOverflow: (owner) => this.#note('overflow', owner),
      onViolation: (peer, error) => this.#note('violation', peer, { reason: error.message }),
      onMismatch: (owner) => this.#note('mismatch', owner),
      onBehind: (epoch) => this.#note('behind', undefined, { epoch }),
      onCopiedIdentity: (owner) => {
        const remedy = 'stop one of the two, remove its identity.key and start it again';
        this.#note('copied_identity', owner, { remedy });
        health.down(`two nodes run with the identity ${owner}: ${remedy}`);
      },
      onPullFailed: (peer, error) => {
        metrics.synced('any', error instanceof CodedError ? error.code : 'error', 0, 0);
        logger.debug({ peer, err: error }, 'peer could not be asked');
      },
      onPulled: (peer, scope, records, durationMs) => {
        metrics.synced(scope, 'ok', records, durationMs);
        logger.debug({ peer, scope, records, duration_ms: Math.round(durationMs) }, 'peer was asked');
      },
      onGossip: (verdict, records) => metrics.gossiped(verdict === 'accept' ? 'taken' : 'left', records),
    };
  }

  #note(fault: keyof typeof FAULTS, node: NodeId | undefined, facts: object = {}): void {
    this.#deps.metrics.replicationFault(fault);
    const nowMs = this.#deps.clock.monotonicMs();
    const name = `${fault} ${node ?? ''}`;
    if (nowMs - (this.#saidAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    // Peers choose what it is called by: it must not fill the memory.
    if (this.#saidAtMs.size > MAX_NAMES) this.#saidAtMs.clear();
    this.#saidAtMs.set(name, nowMs);
    const about = node === undefined ? {} : { peer: node };
    this.#deps.logger.warn({ ...about, ...facts }, FAULTS[fault]);
  }
}

const MAX_NAMES = 1024;

const FAULTS = {
  conflict: 'a node has said two things of one change of a job; the first one counts',
  overflow: 'a node has more jobs, or there are more nodes, than are mirrored here',
  violation: 'a peer sent what no honest node sends; it was dropped',
  mismatch: 'what is known of a node is not what it has; it is fetched anew',
  behind: 'others know more of this node than its store; it begins a new epoch',
  copied_identity: 'two nodes run with one identity',
} as const;

/** Every other node, as the network and the mirrors see it. */
class NodePeersView implements PeersView {
  readonly #self: Omit<IdentityView, 'addresses'>;
  readonly #network: Libp2pNetwork;
  readonly #replicator: Replicator;
  readonly #clock: Clock;

  constructor(
    self: Omit<IdentityView, 'addresses'>,
    network: Libp2pNetwork,
    replicator: Replicator,
    clock: Clock,
  ) {
    this.#self = self;
    this.#network = network;
    this.#replicator = replicator;
    this.#clock = clock;
  }

  identity(): IdentityView {
    return { ...this.#self, addresses: [...this.#network.addresses()] };
  }

  list(): PeerView[] {
    const connected = new Map(this.#network.peers().map((peer) => [peer.peer, peer]));
    const owners = [...this.#replicator.mirror.owners()].map(({ owner }) => owner);
    return [...new Set([...connected.keys(), ...owners])].sort().map((id) => {
      const peer = connected.get(id);
      const state = this.#replicator.mirror.state(id);
      const ageMs = state === undefined ? undefined : this.#clock.monotonicMs() - state.heardAtMs;
      const card = state === undefined ? undefined : decodeCard(state.newest.card);
      return {
        node_id: id,
        ...(card !== undefined && { name: card.name, version: card.version }),
        status: statusOf(peer !== undefined, ageMs),
        addresses: peer === undefined ? [] : [peer.address],
        ...(peer !== undefined && {
          direction: peer.direction,
          connected_since: new Date(this.#clock.wallMs() - peer.connectedForMs).toISOString(),
        }),
        ...(ageMs !== undefined && Number.isFinite(ageMs) && { heard_age_ms: Math.round(ageMs) }),
        ...(peer?.rttMs !== undefined && { rtt_ms: peer.rttMs }),
        jobs: state?.recordCount ?? 0,
        ...(card?.isDraining === true && { draining: true }),
      };
    });
  }

  ping(id: NodeId, signal: AbortSignal): Promise<number> {
    return this.#network.ping(id, signal);
  }

  allow(id: NodeId): void {
    this.#network.allow(id);
  }

  deny(id: NodeId): void {
    this.#network.deny(id);
  }

  forget(id: NodeId): boolean {
    const outcome = this.#replicator.forget(id);
    if (outcome === 'still heard') {
      throw new PeerError(
        'peer_alive',
        `node ${id} was heard less than ${LEASE_MS / 1000} s ago: stop it first`,
        {
          details: { node: id },
        },
      );
    }
    this.#network.forget(id);
    return outcome === 'forgotten';
  }
}

function statusOf(isConnected: boolean, ageMs: number | undefined): PeerView['status'] {
  if (isConnected) return 'connected';
  if (ageMs === undefined || !Number.isFinite(ageMs)) return 'never';
  return ageMs > LEASE_MS ? 'lost' : 'heard';
}
