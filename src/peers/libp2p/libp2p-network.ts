import type { IdentifyResult, PeerInfo } from '@libp2p/interface';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { SingleFlight } from '../../kernel/single-flight.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { unreachable } from '../errors.ts';
import type { GossipVerdict, PeerNetwork, PeerStream, StreamProtocol } from '../network.ts';
import type { PeerBook } from '../peer-book.ts';
import { addressesOfPeer, isPlain, listenMultiaddr, reachable, splitAddress } from './addresses.ts';
import { DeadConnections } from './dead-connections.ts';
import { Dialer } from './dialer.ts';
import { gossipTopic } from './gossip-options.ts';
import { GossipWatch } from './gossip-watch.ts';
import { Gossip, type GossipEvent } from './gossip.ts';
import { createHost, type Host } from './host.ts';
import { Introductions } from './introductions.ts';
import { MAX_STREAMS, mostDialled, PING_LIMIT_MS, STOP_LIMIT_MS } from './limits.ts';
import { Members } from './members.ts';
import type { PeerNetworkOptions } from './options.ts';
import { PeerGate } from './peer-gate.ts';
import { ping } from './ping.ts';
import { Redialer } from './redialer.ts';
import { Refusals, type RefusalReason } from './refusals.ts';
import { Streams, type StreamHandler } from './streams.ts';
import { UpgradeRecord } from './upgrade-record.ts';

/** Counts what happens. */
export interface PeerNetworkTelemetry {
  refused(reason: RefusalReason): void;
  gossip(event: GossipEvent): void;
  streamRefused(protocol: string): void;
}

export interface PeerNetworkDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry: PeerNetworkTelemetry;
  readonly book: PeerBook;
}

export interface ConnectedPeer {
  readonly peer: NodeId;
  /** Multiaddr of its end of the connection. */
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly connectedForMs: number;
  /** Of the last ping; undefined before the first. */
  readonly rttMs: number | undefined;
}

/**
 * Begins to listen, and to look for peers. Fails with the system's code (such as `EADDRINUSE`) and the port in the message when it
 * cannot listen, and without a cluster's key.
 */
export async function startPeerNetwork(
  options: PeerNetworkOptions,
  deps: PeerNetworkDependencies,
): Promise<Libp2pNetwork> {
  return await Libp2pNetwork.start(options, deps);
}

/** `PeerNetwork` over libp2p. Dispose it to leave; twice is as once. */
export class Libp2pNetwork implements PeerNetwork, AsyncDisposable {
  readonly nodeId: NodeId;
  readonly #options: PeerNetworkOptions;
  readonly #deps: PeerNetworkDependencies;
  readonly #gate: PeerGate;
  readonly #members: Members;
  readonly #upgrades: UpgradeRecord;
  readonly #redialer: Redialer;
  readonly #streams: Streams;
  readonly #pings = new SingleFlight<NodeId, number>();
  /** What runs beside the host. */
  readonly #parts = new DisposableStack();
  readonly #listeners = new Set<(peer: NodeId, isConnected: boolean) => void>();
  #host!: Host;
  #gossip!: Gossip;
  #introductions: Introductions | undefined;
  #dead: DeadConnections | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(options: PeerNetworkOptions, deps: PeerNetworkDependencies) {
    this.nodeId = options.identity.nodeId;
    this.#options = options;
    this.#deps = deps;
    const { clock, logger, telemetry } = deps;
    const refusals = new Refusals({ clock, logger, count: (reason) => telemetry.refused(reason) });
    this.#upgrades = new UpgradeRecord((reason, address, facts) => {
      // What fails while the node goes was refused by nobody.
      if (this.#stopped === undefined) refusals.refused(reason, address, facts);
    });
    this.#members = new Members({
      clock,
      refusals,
      isSpoken: (protocols) => protocols.some((id) => majorOf(id) === majorOf(options.protocol.id)),
      onAdmitted: (peer, identity) => this.#onAdmitted(peer, identity),
      onChange: (peer, isConnected) => this.#onChange(peer, isConnected),
    });
    const dialer = new Dialer({
      clock,
      dial: (addresses) => this.#host.dial(addresses),
      admission: (connection) => this.#members.admission(connection),
      isConnected: (peer) => this.#members.isConnected(peer),
    });
    this.#gate = new PeerGate(options.allow, {
      nodeId: this.nodeId,
      refusals,
      connectionsOf: (peer) => this.#members.openConnectionsOf(peer),
      ageMs: (connection) => this.#members.ageMs(connection),
      onFoundAgain: (peer, address) => dialer.foundAgain(peer, address),
      onDoubted: (connections) => this.#dead?.doubt(connections),
    });
    this.#redialer = new Redialer({
      clock,
      dial: (addresses, peer) => dialer.dial(addresses, peer),
      isConnected: (peer) => this.#members.isConnected(peer),
      isAllowed: (peer) => this.#gate.isAllowed(peer),
      wantedCount: () => mostDialled(options.maxConnections) - this.connected().length,
    });
    this.#streams = new Streams({
      clock,
      connectionOf: (peer) => this.#members.connectionsOf(peer).find(({ status }) => status === 'open'),
      admission: (connection) => this.#members.admission(connection),
      mount: (protocol, handler) =>
        this.#host.handle(protocol, handler, {
          maxInboundStreams: MAX_STREAMS,
          maxOutboundStreams: MAX_STREAMS,
        }),
      onRefused: (protocol) => telemetry.streamRefused(protocol),
    });
  }

  /** For `startPeerNetwork`. */
  static async start(options: PeerNetworkOptions, deps: PeerNetworkDependencies): Promise<Libp2pNetwork> {
    const network = new Libp2pNetwork(options, deps);
    await network.#makeHost();
    try {
      await network.#start();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  connected(): readonly NodeId[] {
    return this.#members.connected();
  }

  subscribe(listener: (peer: NodeId, isConnected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  publish(message: Uint8Array): void {
    if (this.#stopped === undefined) this.#gossip.publish(message);
  }

  onGossip(judge: (message: Uint8Array, from: NodeId) => GossipVerdict): void {
    this.#gossip.onGossip(judge);
  }

  open(peer: NodeId, protocol: StreamProtocol, signal: AbortSignal): Promise<PeerStream> {
    return this.#streams.open(peer, protocol, signal);
  }

  handle(protocol: StreamProtocol, handler: StreamHandler): void {
    this.#streams.handle(protocol, handler);
  }

  /** Where others find this node, as multiaddrs with its id: for a token to join with. */
  addresses(): readonly string[] {
    const own = this.#host.getMultiaddrs().map(String);
    return this.#options.announce.length > 0 ? own : reachable(own);
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#upgrades.port;
  }

  peers(): readonly ConnectedPeer[] {
    return this.connected().flatMap((peer) => {
      const [connection] = this.#members.connectionsOf(peer);
      if (connection === undefined) return [];
      const { remoteAddr, direction, rtt } = connection;
      const connectedForMs = this.#members.ageMs(connection);
      return [{ peer, address: remoteAddr.toString(), direction, connectedForMs, rttMs: rtt }];
    });
  }

  /** Milliseconds there and back. Fails with a `PeerError` `peer_unreachable`, or with the signal's reason. */
  async ping(peer: NodeId, signal: AbortSignal): Promise<number> {
    return await this.#pings.run(peer, (shared) => this.#ping(peer, shared), signal);
  }

  /** Whether a node may be a peer, and its jobs be known. */
  isAllowed(peer: NodeId): boolean {
    return this.#gate.isAllowed(peer);
  }

  /** Lets a peer in, even when it was denied before. Holds until the node stops. */
  allow(peer: NodeId): void {
    this.#gate.allow(peer);
  }

  /** Ends the peer's connections, and lets it in no more. Holds until the node stops. */
  deny(peer: NodeId): void {
    this.#gate.deny(peer);
    this.#members.drop(peer, new Error('the peer is denied'));
  }

  /** Dials no more for a peer that will not return. */
  forget(peer: NodeId): boolean {
    this.#redialer.forget(peer);
    return this.#deps.book.forget(peer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #makeHost(): Promise<void> {
    const { clusterId, listenAddress, port, mdns } = this.#options;
    const { clock, telemetry } = this.#deps;
    const topic = gossipTopic(clusterId);
    this.#host = await createHost({
      ...this.#options,
      topic,
      listen: [await listenMultiaddr(listenAddress, port)],
      gater: this.#gate.gater,
      watch: this.#upgrades,
      onFound: mdns ? (found) => this.#onFound(found) : undefined,
    });
    this.#gossip = new Gossip(this.#host.services.gossip, {
      clock,
      topic,
      isMember: (peer) => this.#members.isConnected(peer),
      onEvent: (event) => telemetry.gossip(event),
    });
  }

  async #start(): Promise<void> {
    const targets = this.#options.bootstrap.map(splitAddress);
    this.#host.addEventListener('connection:open', ({ detail }) => this.#members.opened(detail));
    this.#host.addEventListener('peer:identify', ({ detail }) => this.#members.identified(detail));
    this.#host.addEventListener('connection:close', ({ detail }) => this.#members.closed(detail));
    await this.#streams.announce(this.#options.protocol);
    this.#introductions = this.#parts.use(this.#introduce());
    await this.#listen();
    this.#gossip.subscribe();
    this.#parts.use(this.#watchGossip());
    this.#dead = this.#parts.use(this.#watchConnections());
    for (const { peer, addresses } of this.#deps.book.entries()) this.#redialer.addPeer(peer, addresses);
    for (const { peer, address } of targets)
      this.#redialer.addConfigured(peer as NodeId | undefined, address);
  }

  async #listen(): Promise<void> {
    try {
      await this.#host.start();
    } catch (error) {
      const cause = this.#upgrades.listenError ?? (error as Error);
      const { listenAddress, port } = this.#options;
      throw Object.assign(
        new Error(`cannot listen on p2p port ${port} of ${listenAddress}: ${cause.message}`, { cause }),
        {
          code: (cause as NodeJS.ErrnoException).code,
        },
      );
    }
  }

  #watchConnections(): DeadConnections {
    return new DeadConnections({
      clock: this.#deps.clock,
      connected: () => this.connected(),
      connectionsOf: (peer) => this.#members.connectionsOf(peer),
      heardAtMs: (peer) => this.#gossip.heardAtMs(peer),
      ping,
    });
  }

  #watchGossip(): Disposable {
    return new GossipWatch({
      clock: this.#deps.clock,
      connected: () => this.connected(),
      canReach: (peer) => this.#gossip.canReach(peer),
      onUnreached: (peer) => {
        this.#deps.logger.info({ peer }, 'gossip does not reach the peer; it is connected anew');
        this.#members.drop(peer, new Error('gossip does not reach the peer'));
      },
    });
  }

  #introduce(): Introductions {
    return new Introductions({
      clock: this.#deps.clock,
      connected: () => this.connected(),
      known: () => this.#deps.book.entries().filter(({ peer }) => this.#members.isConnected(peer)),
      open: (peer, protocol, signal) => this.open(peer, protocol, signal),
      handle: (protocol, handler) => this.handle(protocol, handler),
      onIntroduced: ({ peer, addresses }) => this.#redialer.addHearsay('introduced', peer, addresses),
    });
  }

  #onFound({ id, multiaddrs }: PeerInfo): void {
    // Anybody may answer there, and would have names looked up that take for ever.
    const addresses = multiaddrs.map((address) => splitAddress(address.toString()).address).filter(isPlain);
    if (addresses.length > 0) this.#redialer.addHearsay('found', id.toString() as NodeId, addresses);
  }

  #onAdmitted(peer: NodeId, { connection, listenAddrs }: IdentifyResult): void {
    const { direction, remoteAddr } = connection;
    const addresses = addressesOfPeer(
      direction === 'outbound' ? remoteAddr : undefined,
      remoteAddr,
      listenAddrs,
    );
    this.#deps.book.saw(peer, addresses);
    this.#redialer.addPeer(peer, addresses);
    this.#dead?.doubt(this.#members.connectionsOf(peer).filter((other) => other !== connection));
  }

  #onChange(peer: NodeId, isConnected: boolean): void {
    if (this.#stopped !== undefined) return;
    this.#deps.logger.info({ peer }, isConnected ? 'peer connected' : 'peer disconnected');
    if (isConnected) {
      this.#redialer.connected(peer);
      this.#introductions?.ask(peer);
    } else {
      this.#gossip.forget(peer);
      this.#streams.forget(peer);
      this.#deps.book.saw(peer, []);
      this.#redialer.disconnected(peer);
    }
    for (const listener of this.#listeners) listener(peer, isConnected);
  }

  async #ping(peer: NodeId, signal: AbortSignal): Promise<number> {
    const [connection] = this.#members.connectionsOf(peer);
    if (connection === undefined) throw unreachable(peer, 'is not connected');
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs: PING_LIMIT_MS });
    try {
      return await ping(connection, limited.signal);
    } catch (error) {
      throw unreachable(peer, `cannot be reached: ${messageOf(error)}`, error);
    }
  }

  async #stop(): Promise<void> {
    this.#listeners.clear();
    this.#parts.dispose();
    this.#redialer.stop();
    this.#streams.stop();
    // libp2p stays `stopping` for ever when one of its parts fails to stop: nobody waits for that.
    await Promise.race([this.#stopHost(), sleep(this.#deps.clock, STOP_LIMIT_MS)]);
    this.#members.dropAll(new Error('the node stops'));
  }

  async #stopHost(): Promise<void> {
    try {
      await this.#host.stop();
    } catch (err) {
      this.#deps.logger.debug({ err }, 'libp2p did not stop as it should');
    }
  }
}

/** `/container-manager/sync/1.0.0` without what may differ between two that understand each other. */
function majorOf(protocol: string): string {
  return protocol.replace(/\.\d{1,9}\.\d{1,9}$/, '');
}
