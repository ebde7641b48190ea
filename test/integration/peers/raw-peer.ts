import { randomBytes } from 'node:crypto';
import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import type { Identity } from '../../../src/peers/identity.ts';
import { gossipTopic } from '../../../src/peers/libp2p/gossip-options.ts';
import { createHost, type Host } from '../../../src/peers/libp2p/host.ts';
import { field, varint } from '../../support/gossip-protobuf.ts';
import { MEMBER_PROTOCOL, type StartedPeer } from './libp2p-harness.ts';

/** `onDrain` of libp2p waits once and never again. */
async function drained(stream: Stream): Promise<void> {
  while (stream.writableNeedsDrain && stream.status === 'open')
    await new Promise<void>((resolve) => {
      stream.addEventListener('drain', () => resolve(), { once: true });
      stream.addEventListener('close', () => resolve(), { once: true });
    });
}

/** As many as are taken in one piece. */
const MESSAGES_AT_ONCE = 64;

export interface RawPeerOptions {
  readonly identity: Identity;
  readonly clusterKey: Uint8Array;
  /** Whether it says that it speaks what every node speaks. */
  readonly speaks?: string | undefined;
}

/** A peer that keeps none of our own limits, and says of itself what a test wants. */
export class RawPeer implements AsyncDisposable {
  readonly host: Host;
  readonly topic: string;

  private constructor(host: Host, topic: string) {
    this.host = host;
    this.topic = topic;
  }

  static async start(peer: StartedPeer, options: RawPeerOptions): Promise<RawPeer> {
    const { clusterId } = peer.options;
    const topic = gossipTopic(clusterId);
    const host = await createHost({
      identity: options.identity,
      clusterKey: options.clusterKey,
      clusterId,
      topic,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      announce: [],
      maxConnections: 64,
      agent: 'raw',
      gater: {},
      watch: {
        onReached: () => undefined,
        onFailed: () => undefined,
        onEnded: () => undefined,
        onListening: () => undefined,
        onListenError: () => undefined,
      },
      onFound: undefined,
    });
    await host.handle(options.speaks ?? MEMBER_PROTOCOL.id, (stream) => stream.abort(new Error('not here')));
    await host.start();
    host.services.gossip.subscribe(topic);
    return new RawPeer(host, topic);
  }

  dial(peer: StartedPeer): Promise<Connection> {
    return this.host.dial(multiaddr(peer.address));
  }

  /** From now on each stream of gossip that is opened to it is reset with the very bytes that agree to it. */
  async resetGossip(): Promise<void> {
    const protocols = this.host.getProtocols().filter((protocol) => protocol.startsWith('/meshsub/'));
    for (const protocol of protocols)
      await this.host.handle(protocol, (stream) => stream.abort(new Error('not now')), { force: true });
  }

  /**
   * Gossips so many messages of random bytes as fast as they are taken, without what gossipsub would do to keep them few. Resolves
   * when all are sent, or the other side has had enough.
   */
  async flood(connection: Connection, count: number, messageBytes: number): Promise<void> {
    const stream = await connection.newStream(['/meshsub/1.1.0']);
    for (let sent = 0; sent < count && stream.status === 'open'; sent += MESSAGES_AT_ONCE) {
      const messages = Array.from({ length: MESSAGES_AT_ONCE }, () =>
        this.#encodeMessage(randomBytes(messageBytes)),
      );
      const rpc = Buffer.concat(messages.map((message) => field(2, message)));
      if (!stream.send(Buffer.concat([varint(rpc.length), rpc]))) await drained(stream);
    }
    await stream.close().catch(() => undefined);
  }

  #encodeMessage(data: Uint8Array): Uint8Array {
    return Buffer.concat([field(2, data), field(4, Buffer.from(this.topic))]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.stop();
  }
}
