import type { Connection, Stream } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { unreachable } from '../errors.ts';
import type { PeerStream, StreamProtocol } from '../network.ts';
import { FrameStream } from './frame-stream.ts';
import { MAX_STREAMS, STREAM_OPEN_LIMIT_MS } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

export type StreamHandler = (stream: PeerStream, from: NodeId, signal: AbortSignal) => Promise<void>;

/** A peer that opened none for a while may open so many seconds' worth at once. */
const BURST_SECONDS = 10;
/** How long a stream waits for its handler to be set: peers may come before the node is all there. */
const HANDLER_LIMIT_MS = 5_000;

export interface StreamsDependencies {
  readonly clock: Clock;
  /** The connection to use to a peer; undefined when there is none. */
  readonly connectionOf: (peer: NodeId) => Connection | undefined;
  /** Resolves when the connection is admitted, which the other side may know before us; rejects when it is not. */
  readonly admission: (connection: Connection) => Promise<void>;
  /** Has libp2p answer a protocol. */
  readonly mount: (
    protocol: string,
    handler: (stream: Stream, connection: Connection) => void,
  ) => Promise<void>;
  readonly onRefused: (protocol: string) => void;
}

interface Mounted {
  readonly places: Map<NodeId, number>;
  readonly rates: Map<NodeId, TokenBucket>;
  protocol: StreamProtocol;
  readonly handler: PromiseWithResolvers<StreamHandler>;
  readonly isMounted: Promise<void>;
}

/** Opens streams and answers them, so many of each peer and protocol. */
export class Streams {
  readonly #deps: StreamsDependencies;
  readonly #mounted = new Map<string, Mounted>();
  readonly #open = new Set<FrameStream>();
  #isStopped = false;

  constructor(deps: StreamsDependencies) {
    this.#deps = deps;
  }

  /** Has peers told that the protocol is spoken here, before anybody answers it. */
  async announce(protocol: StreamProtocol): Promise<void> {
    await this.#mount(protocol).isMounted;
  }

  handle(protocol: StreamProtocol, handler: StreamHandler): void {
    const mounted = this.#mount(protocol);
    mounted.protocol = protocol;
    mounted.handler.resolve(handler);
    // What can fail is only that peers are told of it.
    mounted.isMounted.catch(() => undefined);
  }

  async open(peer: NodeId, protocol: StreamProtocol, signal: AbortSignal): Promise<PeerStream> {
    signal.throwIfAborted();
    const connection = this.#deps.connectionOf(peer);
    if (connection === undefined || this.#isStopped) throw unreachable(peer, 'is not connected');
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs: STREAM_OPEN_LIMIT_MS });
    try {
      const stream = await connection.newStream([protocol.id], {
        signal: limited.signal,
        maxOutboundStreams: MAX_STREAMS,
      });
      return this.#keep(stream, protocol);
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(peer, `cannot be reached: ${messageOf(error)}`, error);
    }
  }

  /** To be told of each member that has gone. */
  forget(peer: NodeId): void {
    for (const { rates } of this.#mounted.values()) rates.delete(peer);
  }

  /** Gives up all that is open, and answers nothing more. */
  stop(): void {
    this.#isStopped = true;
    for (const stream of this.#open) stream.abort(new Error('the node stops'));
  }

  #mount(protocol: StreamProtocol): Mounted {
    const known = this.#mounted.get(protocol.id);
    if (known !== undefined) return known;
    const isMounted = this.#deps.mount(protocol.id, (stream, connection) => {
      // Whatever goes wrong ends the stream and nothing else.
      this.#answer(mounted, stream, connection).catch((error: unknown) => stream.abort(error as Error));
    });
    const mounted: Mounted = {
      places: new Map(),
      rates: new Map(),
      protocol,
      handler: Promise.withResolvers(),
      isMounted,
    };
    this.#mounted.set(protocol.id, mounted);
    return mounted;
  }

  async #answer(mounted: Mounted, raw: Stream, connection: Connection): Promise<void> {
    const from = connection.remotePeer.toString() as NodeId;
    if (this.#isStopped) return raw.abort(new Error('the node stops'));
    if (!this.#takePlace(mounted, from, raw)) return this.#refuse(mounted, raw);
    const stream = this.#keep(raw, mounted.protocol);
    try {
      await this.#deps.admission(connection);
      // Only of members, who are forgotten when they go.
      if (raw.status === 'open' && !this.#isWithinRate(mounted, from)) return this.#refuse(mounted, raw);
      const handler = await this.#handlerOf(mounted, stream);
      await handler(stream, from, stream.signal);
      await stream.end();
    } catch (error) {
      stream.abort(error as Error);
    }
  }

  #refuse({ protocol }: Mounted, raw: Stream): void {
    this.#deps.onRefused(protocol.id);
    raw.abort(new Error('too many streams'));
  }

  #isWithinRate({ rates, protocol }: Mounted, from: NodeId): boolean {
    const perSecond = protocol.maxInboundPerSecond;
    const known = rates.get(from);
    const bucket =
      known ?? new TokenBucket({ perSecond, burst: perSecond * BURST_SECONDS }, this.#deps.clock);
    rates.set(from, bucket);
    return bucket.take(1);
  }

  #handlerOf(mounted: Mounted, stream: FrameStream): Promise<StreamHandler> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = this.#deps.clock.after(HANDLER_LIMIT_MS, () => reject(new Error('nobody answers')));
    stream.signal.addEventListener('abort', () => reject(stream.signal.reason as Error), { once: true });
    return Promise.race([mounted.handler.promise, promise]).finally(() => timer[Symbol.dispose]());
  }

  /** The place is free again when the stream has ended both ways, whatever its handler does. */
  #takePlace({ places, protocol }: Mounted, from: NodeId, stream: Stream): boolean {
    const taken = places.get(from) ?? 0;
    if (taken >= protocol.maxInboundStreams || stream.status !== 'open') return false;
    places.set(from, taken + 1);
    stream.addEventListener('close', () => {
      const left = (places.get(from) ?? 1) - 1;
      if (left === 0) places.delete(from);
      else places.set(from, left);
    });
    return true;
  }

  #keep(raw: Stream, { maxFrameBytes }: StreamProtocol): FrameStream {
    const stream = new FrameStream(raw, { maxFrameBytes, clock: this.#deps.clock });
    this.#open.add(stream);
    raw.addEventListener('close', () => this.#open.delete(stream));
    if (raw.status !== 'open') this.#open.delete(stream);
    return stream;
  }
}
