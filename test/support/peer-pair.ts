import type { NodeId } from '../../src/kernel/ids.ts';
import { PeerError } from '../../src/peers/errors.ts';
import type { GossipVerdict, PeerNetwork, PeerStream, StreamProtocol } from '../../src/peers/network.ts';

/** Frames that may wait to be read before a writer has to wait. */
const CAPACITY = 4;

type StreamHandler = (stream: PeerStream, from: NodeId, signal: AbortSignal) => Promise<void>;

/** Two nodes that see each other, in one process. Frames go one at a time; nothing is copied onto a wire. */
export class PeerPair {
  readonly a: PairedNetwork;
  readonly b: PairedNetwork;

  constructor(a = '12D3KooWAAAA' as NodeId, b = '12D3KooWBBBB' as NodeId) {
    this.a = new PairedNetwork(a);
    this.b = new PairedNetwork(b);
    this.a.other = this.b;
    this.b.other = this.a;
  }

  /** Cuts the connection: every stream is reset. */
  disconnect(): void {
    this.a.drop();
    this.b.drop();
  }

  connect(): void {
    this.a.raise();
    this.b.raise();
  }
}

export class PairedNetwork implements PeerNetwork {
  readonly nodeId: NodeId;
  other: PairedNetwork | undefined;
  readonly #handlers = new Map<string, { protocol: StreamProtocol; handler: StreamHandler }>();
  readonly #listeners = new Set<(peer: NodeId, isConnected: boolean) => void>();
  readonly #streams = new Set<PairedStream>();
  #judge: ((message: Uint8Array, from: NodeId) => GossipVerdict) | undefined;
  #isConnected = true;

  constructor(nodeId: NodeId) {
    this.nodeId = nodeId;
  }

  /** Streams that are open, whoever opened them. */
  get openStreams(): number {
    return this.#streams.size;
  }

  connected(): readonly NodeId[] {
    return this.#isConnected && this.other !== undefined ? [this.other.nodeId] : [];
  }

  subscribe(listener: (peer: NodeId, isConnected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  publish(message: Uint8Array): void {
    const { other } = this;
    if (!this.#isConnected || other === undefined) return;
    queueMicrotask(() => other.#judge?.(message, this.nodeId));
  }

  onGossip(judge: (message: Uint8Array, from: NodeId) => GossipVerdict): void {
    this.#judge = judge;
  }

  async open(peer: NodeId, protocol: StreamProtocol, signal: AbortSignal): Promise<PeerStream> {
    await Promise.resolve();
    signal.throwIfAborted();
    const target = this.other?.nodeId === peer && this.#isConnected ? this.other : undefined;
    const entry = target === undefined ? undefined : target.#handlers.get(protocol.id);
    if (target === undefined || entry === undefined)
      throw new PeerError('peer_unreachable', `node ${peer} is not connected`, { retryable: true });
    const near = new PairedStream(protocol.maxFrameBytes);
    const far = new PairedStream(protocol.maxFrameBytes);
    near.join(far);
    this.#follow(near);
    const isFull = target.#streams.size >= entry.protocol.maxInboundStreams;
    target.#follow(far);
    if (isFull) far.abort(new Error('too many streams'));
    else void target.#run(entry.handler, far, this.nodeId);
    return near;
  }

  handle(protocol: StreamProtocol, handler: StreamHandler): void {
    this.#handlers.set(protocol.id, { protocol, handler });
  }

  drop(): void {
    this.#isConnected = false;
    for (const stream of [...this.#streams]) stream.abort(new Error('the connection is cut'));
    for (const listener of this.#listeners) listener(this.other?.nodeId ?? this.nodeId, false);
  }

  raise(): void {
    this.#isConnected = true;
    for (const listener of this.#listeners) listener(this.other?.nodeId ?? this.nodeId, true);
  }

  #follow(stream: PairedStream): void {
    this.#streams.add(stream);
    void stream.closed.then(() => this.#streams.delete(stream));
  }

  async #run(handler: StreamHandler, stream: PairedStream, from: NodeId): Promise<void> {
    const abort = new AbortController();
    stream.onReset = (reason) => abort.abort(reason);
    try {
      await handler(stream, from, abort.signal);
      await stream.end();
    } catch (error) {
      stream.abort(error as Error);
    }
  }
}

class PairedStream implements PeerStream {
  onReset: ((reason: Error) => void) | undefined;
  readonly #maxFrameBytes: number;
  readonly #inbox: Uint8Array[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #other: PairedStream | undefined;
  #hasEnded = false;
  #hasOtherEnded = false;
  #reset: Error | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  join(other: PairedStream): void {
    this.#other = other;
    other.#other = this;
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#reset !== undefined) throw this.#reset;
      const frame = this.#inbox.shift();
      if (frame !== undefined) {
        (this.#other as PairedStream).#wake();
        return frame;
      }
      if (this.#hasOtherEnded) return undefined;
      await this.#changed.promise;
    }
  }

  async write(frame: Uint8Array): Promise<void> {
    const other = this.#other as PairedStream;
    if (frame.length > this.#maxFrameBytes) this.abort(new Error('the frame is too long'));
    if (this.#reset === undefined) {
      other.#inbox.push(new Uint8Array(frame));
      other.#wake();
    }
    while (this.#reset === undefined && other.#inbox.length >= CAPACITY) await this.#changed.promise;
    if (this.#reset !== undefined) throw this.#reset;
  }

  async end(): Promise<void> {
    await Promise.resolve();
    if (this.#hasEnded || this.#reset !== undefined) return;
    this.#hasEnded = true;
    const other = this.#other as PairedStream;
    other.#hasOtherEnded = true;
    other.#wake();
    if (!this.#hasOtherEnded) return;
    this.#closed.resolve();
    other.#closed.resolve();
  }

  abort(reason: Error): void {
    if (this.#reset !== undefined) return;
    this.#fail(reason);
    const told = new Error('the stream was reset');
    const other = this.#other as PairedStream;
    other.#fail(told);
    other.onReset?.(told);
  }

  #fail(reason: Error): void {
    this.#reset ??= reason;
    this.#wake();
    this.#closed.resolve();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
