import { hash } from 'node:crypto';
import type { NodeId } from '../../src/kernel/ids.ts';
import { PeerError } from '../../src/peers/errors.ts';
import {
  MAX_GOSSIP_BYTES,
  type GossipVerdict,
  type PeerNetwork,
  type PeerStream,
  type StreamProtocol,
} from '../../src/peers/network.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface VirtualNetworkOptions {
  readonly clock: VirtualClock;
  readonly random: () => number;
  /** To how many others a node passes a message on. */
  readonly fanOut?: number;
}

/** What happens to what is sent; each a probability from 0 to 1, times in ms. */
export interface Weather {
  readonly loss: number;
  readonly duplication: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
}

export const FAIR: Weather = { loss: 0, duplication: 0, minDelayMs: 1, maxDelayMs: 3 };

type Handler = (stream: PeerStream, from: NodeId, signal: AbortSignal) => Promise<void>;

/** Frames that a reader may be behind before its writer waits. */
const WINDOW = 2;

/** Nodes and the links between them: messages get lost, come twice or late, and links go and come, all by one seed. */
export class VirtualNetwork {
  weather: Weather = FAIR;
  /** What was sent since it was last set to nothing. */
  readonly traffic = { messages: 0, bytes: 0 };
  readonly clock: VirtualClock;
  readonly random: () => number;
  readonly #fanOut: number;
  readonly #nodes = new Map<NodeId, VirtualNode>();
  #isCut: (a: NodeId, b: NodeId) => boolean = () => false;
  #isMute: (from: NodeId, to: NodeId) => boolean = () => false;

  constructor({ clock, random, fanOut = 4 }: VirtualNetworkOptions) {
    this.clock = clock;
    this.random = random;
    this.#fanOut = fanOut;
  }

  /** Joins a node, and connects it with all that it can reach. */
  join(nodeId: NodeId): VirtualNode {
    const node = new VirtualNode(nodeId, this);
    this.#nodes.set(nodeId, node);
    this.#relink();
    return node;
  }

  leave(node: VirtualNode): void {
    if (this.#nodes.get(node.nodeId) === node) this.#nodes.delete(node.nodeId);
    for (const peer of node.connected()) this.#unlink(node, peer);
  }

  /** Cuts every link of which `isCut` is true, and mends the others. */
  cut(isCut: (a: NodeId, b: NodeId) => boolean): void {
    this.#isCut = isCut;
    this.#relink();
  }

  /** From now on nothing that is said gets there one way, of which `isMute` is true; the other way it does, and answers come back. */
  mute(isMute: (from: NodeId, to: NodeId) => boolean): void {
    this.#isMute = isMute;
  }

  isMute(from: NodeId, to: NodeId): boolean {
    return this.#isMute(from, to);
  }

  node(nodeId: NodeId): VirtualNode | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Runs `arrive` when what was sent gets there; by luck twice, or never. */
  send(bytes: number, arrive: () => void): void {
    this.count(bytes);
    const { loss, duplication } = this.weather;
    if (this.random() >= loss) this.clock.after(this.delayMs(), arrive);
    if (this.random() < duplication) this.clock.after(this.delayMs() * 3, arrive);
  }

  count(bytes: number): void {
    this.traffic.messages += 1;
    this.traffic.bytes += bytes;
  }

  delayMs(): number {
    const { minDelayMs, maxDelayMs } = this.weather;
    return minDelayMs + this.random() * (maxDelayMs - minDelayMs);
  }

  /** Some of the peers, as a mesh of gossip would have it. */
  some(peers: readonly NodeId[]): NodeId[] {
    const left = [...peers];
    const chosen: NodeId[] = [];
    while (chosen.length < this.#fanOut && left.length > 0)
      chosen.push(...left.splice(Math.floor(this.random() * left.length), 1));
    return chosen;
  }

  #relink(): void {
    const nodes = [...this.#nodes.values()];
    for (const [index, a] of nodes.entries()) {
      for (const b of nodes.slice(index + 1)) {
        const isLinked = a.connected().includes(b.nodeId);
        const shallBe = !this.#isCut(a.nodeId, b.nodeId);
        if (isLinked && !shallBe) this.#unlink(a, b.nodeId);
        if (!isLinked && shallBe) {
          a.linked(b.nodeId);
          b.linked(a.nodeId);
        }
      }
    }
  }

  #unlink(node: VirtualNode, peer: NodeId): void {
    node.unlinked(peer);
    this.#nodes.get(peer)?.unlinked(node.nodeId);
  }
}

/** One node's end of the virtual network. */
export class VirtualNode implements PeerNetwork {
  readonly nodeId: NodeId;
  readonly #network: VirtualNetwork;
  readonly #peers = new Set<NodeId>();
  readonly #listeners = new Set<(peer: NodeId, isConnected: boolean) => void>();
  readonly #handlers = new Map<string, { protocol: StreamProtocol; handler: Handler }>();
  readonly #streams = new Map<NodeId, Set<VirtualStream>>();
  readonly #seen = new Set<string>();
  #judge: ((message: Uint8Array, from: NodeId) => GossipVerdict) | undefined;

  constructor(nodeId: NodeId, network: VirtualNetwork) {
    this.nodeId = nodeId;
    this.#network = network;
  }

  connected(): readonly NodeId[] {
    return [...this.#peers];
  }

  subscribe(listener: (peer: NodeId, isConnected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  publish(message: Uint8Array): void {
    if (message.length > MAX_GOSSIP_BYTES) throw new Error(`a gossiped message of ${message.length} bytes`);
    const copy = Uint8Array.from(message);
    this.#seen.add(nameOf(copy));
    for (const peer of this.#peers) this.#pass(copy, peer);
  }

  onGossip(judge: (message: Uint8Array, from: NodeId) => GossipVerdict): void {
    this.#judge = judge;
  }

  async open(peer: NodeId, protocol: StreamProtocol, signal: AbortSignal): Promise<PeerStream> {
    signal.throwIfAborted();
    await new Promise<void>((resolve) => this.#network.clock.after(this.#network.delayMs() * 2, resolve));
    signal.throwIfAborted();
    const other = this.#network.node(peer);
    const answer = other === undefined ? undefined : other.#handlers.get(protocol.id);
    const isReached = this.#peers.has(peer) && !this.#network.isMute(this.nodeId, peer);
    if (!isReached || other === undefined || answer === undefined)
      throw new PeerError('peer_unreachable', `${peer} is not connected`, { retryable: true });
    const [ours, theirs] = VirtualStream.pair(this.#network, protocol.maxFrameBytes);
    this.#keep(peer, ours);
    other.#keep(this.nodeId, theirs);
    answer
      .handler(theirs, this.nodeId, theirs.aborted)
      .then(() => theirs.end())
      .catch((error: unknown) => theirs.abort(error as Error));
    return ours;
  }

  handle(protocol: StreamProtocol, handler: Handler): void {
    this.#handlers.set(protocol.id, { protocol, handler });
  }

  /** For the network alone. */
  linked(peer: NodeId): void {
    this.#peers.add(peer);
    this.#tell(peer, true);
  }

  /** For the network alone. */
  unlinked(peer: NodeId): void {
    if (!this.#peers.delete(peer)) return;
    for (const stream of this.#streams.get(peer) ?? []) stream.abort(new Error('the link was cut'));
    this.#streams.delete(peer);
    this.#tell(peer, false);
  }

  #pass(message: Uint8Array, peer: NodeId): void {
    this.#network.send(message.length, () => {
      const other = this.#network.node(peer);
      const isHeard = this.#peers.has(peer) && !this.#network.isMute(this.nodeId, peer);
      if (isHeard && other !== undefined) other.#hear(message, this.nodeId);
    });
  }

  #hear(message: Uint8Array, from: NodeId): void {
    const name = nameOf(message);
    if (this.#judge === undefined || this.#seen.has(name)) return;
    this.#seen.add(name);
    if (this.#judge(message, from) !== 'accept') return;
    const others = this.connected().filter((peer) => peer !== from);
    for (const peer of this.#network.some(others)) this.#pass(message, peer);
  }

  #keep(peer: NodeId, stream: VirtualStream): void {
    const streams = this.#streams.get(peer) ?? new Set();
    this.#streams.set(peer, streams.add(stream));
    stream.aborted.addEventListener('abort', () => streams.delete(stream), { once: true });
  }

  #tell(peer: NodeId, isConnected: boolean): void {
    for (const listener of this.#listeners) listener(peer, isConnected);
  }
}

class VirtualStream implements PeerStream {
  readonly #network: VirtualNetwork;
  readonly #maxFrameBytes: number;
  readonly #abort = new AbortController();
  readonly #arrived: (Uint8Array | undefined)[] = [];
  #other!: VirtualStream;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #arrivesAtMs = 0;
  #underWay = 0;

  private constructor(network: VirtualNetwork, maxFrameBytes: number) {
    this.#network = network;
    this.#maxFrameBytes = maxFrameBytes;
  }

  static pair(network: VirtualNetwork, maxFrameBytes: number): [VirtualStream, VirtualStream] {
    const ours = new VirtualStream(network, maxFrameBytes);
    const theirs = new VirtualStream(network, maxFrameBytes);
    ours.#other = theirs;
    theirs.#other = ours;
    return [ours, theirs];
  }

  get aborted(): AbortSignal {
    return this.#abort.signal;
  }

  async read(): Promise<Uint8Array | undefined> {
    while (this.#arrived.length === 0) {
      this.#abort.signal.throwIfAborted();
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
    this.#abort.signal.throwIfAborted();
    // The end stays, however often it is asked for.
    if (this.#arrived[0] === undefined) return undefined;
    const frame = this.#arrived.shift();
    this.#other.#wakeWriter?.();
    return frame;
  }

  async write(frame: Uint8Array): Promise<void> {
    if (frame.length > this.#maxFrameBytes) throw new Error(`a frame of ${frame.length} bytes`);
    this.#send(Uint8Array.from(frame));
    while (this.#underWay + this.#other.#arrived.length > WINDOW) {
      this.#abort.signal.throwIfAborted();
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
    }
    this.#abort.signal.throwIfAborted();
  }

  end(): Promise<void> {
    if (!this.#abort.signal.aborted) this.#send(undefined);
    return Promise.resolve();
  }

  abort(reason: Error): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    this.#wakeReader?.();
    this.#wakeWriter?.();
    this.#other.abort(reason);
  }

  /** Frames of one stream keep their order. */
  #send(frame: Uint8Array | undefined): void {
    this.#abort.signal.throwIfAborted();
    this.#network.count(frame?.length ?? 0);
    this.#underWay += 1;
    const nowMs = this.#network.clock.monotonicMs();
    this.#arrivesAtMs = Math.max(this.#arrivesAtMs, nowMs + this.#network.delayMs());
    this.#network.clock.after(this.#arrivesAtMs - nowMs, () => {
      this.#underWay -= 1;
      this.#other.#arrived.push(frame);
      this.#other.#wakeReader?.();
    });
  }
}

function nameOf(message: Uint8Array): string {
  return hash('sha1', message, 'base64');
}
