import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Connection, PrivateKey, Stream } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { systemClock } from '../../src/kernel/clock.ts';
import { clusterKeyOf } from '../../src/peers/cluster-key.ts';
import { clusterPsk } from '../../src/peers/libp2p/cluster-psk.ts';
import { FrameStream } from '../../src/peers/libp2p/frame-stream.ts';
import { gossipTopic } from '../../src/peers/libp2p/gossip-options.ts';
import { SYNC_PROTOCOL } from '../../src/peers/replication/sync-messages.ts';
import { field, fieldsOf } from './gossip-protobuf.ts';

/** What gossipsub speaks; the oldest that knows of signatures does for everything here. */
const GOSSIP_PROTOCOL = '/meshsub/1.1.0';
const MAX_RPC_BYTES = 4 * 1024 ** 2;
const DIAL_TIMEOUT_MS = 5_000;

/** One gossiped message, every field as its sender would have it. */
export interface ForgedMessage {
  readonly data: Uint8Array;
  readonly from?: Uint8Array;
  readonly seqno?: Uint8Array;
  readonly signature?: Uint8Array;
  readonly key?: Uint8Array;
  readonly topic?: string;
}

export interface HostileOptions {
  readonly clusterKey: Uint8Array;
  readonly privateKey?: PrivateKey;
  /** Answers whoever asks what it knows. Without it they get no answer. */
  readonly onSync?: (stream: FrameStream) => Promise<void>;
}

/**
 * A libp2p node that has the cluster's key and says of itself that it speaks what every node speaks, but writes its messages by
 * hand: gossip of any shape, and any answer. It keeps none of the limits of a node.
 */
export class HostilePeer implements AsyncDisposable {
  readonly host: Libp2p;
  /** What it was sent by gossip, in order. */
  readonly heard: Uint8Array[] = [];
  readonly #topic: string;
  readonly #gossip = new Map<string, FrameStream>();

  private constructor(host: Libp2p, topic: string) {
    this.host = host;
    this.#topic = topic;
  }

  static async start(options: HostileOptions): Promise<HostilePeer> {
    const { clusterKey, onSync = () => new Promise<void>(() => undefined) } = options;
    const host = await createLibp2p({
      privateKey: options.privateKey ?? (await generateKeyPair('Ed25519')),
      addresses: { listen: [] },
      transports: [tcp()],
      connectionProtector: preSharedKey({ psk: clusterPsk(clusterKey) }),
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionManager: { reconnectRetries: 0 },
      services: { identify: identify(), ping: ping() },
    });
    const peer = new HostilePeer(host, gossipTopic(clusterKeyOf(clusterKey).clusterId));
    const unlimited = { maxInboundStreams: 1_000, maxOutboundStreams: 20_000 };
    await host.handle(
      SYNC_PROTOCOL.id,
      (stream) => void onSync(frames(stream)).catch(() => undefined),
      unlimited,
    );
    await host.handle(GOSSIP_PROTOCOL, (stream) => void peer.#listen(frames(stream)), unlimited);
    return peer;
  }

  get id(): string {
    return this.host.peerId.toString();
  }

  dial(address: string): Promise<Connection> {
    return this.host.dial(multiaddr(address), { signal: AbortSignal.timeout(DIAL_TIMEOUT_MS) });
  }

  /** Opens a stream that gossip goes out on, and says that it wants all there is. */
  async join(connection: Connection): Promise<void> {
    this.#gossip.set(connection.id, frames(await this.open(connection, GOSSIP_PROTOCOL)));
    const subscription = Buffer.concat([Buffer.of(0x08, 1), field(2, Buffer.from(this.#topic))]);
    await this.sendRaw(connection, field(1, subscription));
  }

  /** Resolves when it is on its way; `join` comes before. */
  async send(connection: Connection, messages: readonly ForgedMessage[]): Promise<void> {
    await this.sendRaw(connection, Buffer.concat(messages.map((message) => field(2, this.#encode(message)))));
  }

  /** Bytes that are no message of gossip at all. */
  async sendRaw(connection: Connection, bytes: Uint8Array): Promise<void> {
    await this.#gossipOf(connection).write(bytes);
  }

  /** Whether the other side still takes what is gossiped to it. */
  isHeard(connection: Connection): boolean {
    return !this.#gossipOf(connection).signal.aborted;
  }

  async open(connection: Connection, protocol: string): Promise<Stream> {
    return connection.newStream(protocol, { maxOutboundStreams: 20_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.stop();
  }

  #gossipOf(connection: Connection): FrameStream {
    const stream = this.#gossip.get(connection.id);
    if (stream === undefined) throw new Error('join comes before');
    return stream;
  }

  #encode({ from, data, seqno, topic = this.#topic, signature, key }: ForgedMessage): Uint8Array {
    const parts = [from, data, seqno, Buffer.from(topic), signature, key];
    return Buffer.concat(
      parts.flatMap((part, index) => (part === undefined ? [] : [field(index + 1, part)])),
    );
  }

  async #listen(stream: FrameStream): Promise<void> {
    try {
      for (;;) {
        const rpc = await stream.read();
        if (rpc === undefined) return;
        for (const message of fieldsOf(rpc, 2)) this.heard.push(...fieldsOf(message, 2));
      }
    } catch {
      // The other side went.
    }
  }
}

export function frames(stream: Stream): FrameStream {
  return new FrameStream(stream, { maxFrameBytes: MAX_RPC_BYTES, clock: systemClock });
}
