import { TopicValidatorResult, type GossipSub } from '@libp2p/gossipsub';
import type { PeerId, Stream } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { MAX_GOSSIP_BYTES, type GossipVerdict } from '../network.ts';
import { TokenBucket } from './token-bucket.ts';

/**
 * What one peer may pass on: its own messages and those of all others. Each costs a signature's check and more, about a ms in all: one
 * peer must not take a node's whole time. Ten nodes that change a thousand jobs a second send two hundred messages, since the more
 * there are, the fewer each of them sends. What is beyond is dropped unread, and costs no signature's check.
 */
export const MESSAGES_PER_PEER = { perSecond: 500, burst: 1_000 } as const;
/** The same ten nodes send one MiB, of a thousand records. */
export const BYTES_PER_PEER = { perSecond: 4 * 1024 * 1024, burst: 8 * 1024 * 1024 } as const;
/** What it takes to judge them, ms: a message of 8 KB may hold a thousand records, and cost as much as many others. */
export const JUDGING_PER_PEER = { perSecond: 500, burst: 2_000 } as const;

/** What becomes of a message: sent by us, judged, or dropped since its sender sends too many. */
export type GossipEvent = 'sent' | GossipVerdict | 'limited';

const RESULTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<GossipVerdict, TopicValidatorResult>;

/** What gossipsub has beside what its types tell of. */
interface GossipSubInside {
  readonly streamsOutbound: ReadonlyMap<string, { readonly rawStream: Pick<Stream, 'status'> }>;
  handleReceivedRpc(from: PeerId, rpc: ReceivedRpc): Promise<void>;
}
interface ReceivedRpc {
  messages: ReceivedMessage[];
}
/** No member sends the last three: who wrote a message is signed within it. */
interface ReceivedMessage {
  readonly topic?: string;
  readonly data?: Uint8Array;
  readonly seqno?: Uint8Array;
  readonly signature?: Uint8Array;
  readonly key?: Uint8Array;
}

interface HeardPeer {
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  readonly judging: TokenBucket;
  /** Monotonic ms. */
  lastMs: number;
}

export interface GossipDependencies {
  readonly clock: Clock;
  readonly topic: string;
  /** Whoever holds the key can gossip; only who is admitted is heard. */
  readonly isMember: (peer: NodeId) => boolean;
  readonly onEvent: (event: GossipEvent) => void;
}

/** The one topic: what is told to all, and who judges what is heard. */
export class Gossip {
  readonly #sub: GossipSub & GossipSubInside;
  readonly #deps: GossipDependencies;
  readonly #heard = new Map<NodeId, HeardPeer>();
  #judge: (message: Uint8Array, from: NodeId) => GossipVerdict = () => 'ignore';

  constructor(sub: GossipSub, deps: GossipDependencies) {
    this.#sub = sub as GossipSub & GossipSubInside;
    this.#deps = deps;
    this.#limitReceived();
    // The verdict is there at once, so that no message waits for it, and what is rejected counts against its sender.
    sub.topicValidators.set(deps.topic, (from, { data }) => {
      const verdict = this.#verdictOf(data, from.toString() as NodeId);
      deps.onEvent(verdict);
      return RESULTS[verdict];
    });
  }

  onGossip(judge: (message: Uint8Array, from: NodeId) => GossipVerdict): void {
    this.#judge = judge;
  }

  subscribe(): void {
    this.#sub.subscribe(this.#deps.topic);
  }

  /**
   * May be lost, in the first moments of a connection above all: it is carried only once each side has told the other that it
   * listens, which was measured to be so 5 to 20 ms after the connection is told of. Who connects asks for what it missed.
   */
  publish(message: Uint8Array): void {
    if (message.length > MAX_GOSSIP_BYTES)
      throw new RangeError(`a gossiped message of ${message.length} bytes; ${MAX_GOSSIP_BYTES} are allowed`);
    this.#deps.onEvent('sent');
    // A copy, since it is read after this returns. Whatever keeps it from being sent, others will ask for it.
    this.#sub.publish(this.#deps.topic, message.slice()).catch(() => undefined);
  }

  /**
   * Whether what is told reaches the peer. Once its stream is reset gossipsub never makes a new one; and one that is reset as it is
   * opened it keeps, since it listens for the end only afterwards.
   */
  canReach(peer: NodeId): boolean {
    return this.#sub.streamsOutbound.get(peer)?.rawStream.status === 'open';
  }

  /** When the peer last said anything, monotonic ms. */
  heardAtMs(peer: NodeId): number | undefined {
    return this.#heard.get(peer)?.lastMs;
  }

  /** To be told of each member that has gone. */
  forget(peer: NodeId): void {
    this.#heard.delete(peer);
  }

  #verdictOf(message: Uint8Array, from: NodeId): GossipVerdict {
    if (message.length > MAX_GOSSIP_BYTES) return 'reject';
    const { clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const verdict = this.#judge(message, from);
    this.#heard.get(from)?.judging.charge(clock.monotonicMs() - startedMs);
    return verdict;
  }

  /**
   * Before gossipsub sees them: it remembers every message before it asks whether anybody wants it, so that a flood would fill its
   * memory although nobody reads it.
   */
  #limitReceived(): void {
    const receive = this.#sub.handleReceivedRpc.bind(this.#sub);
    this.#sub.handleReceivedRpc = (from, rpc) => {
      const peer = from.toString() as NodeId;
      // Only members are remembered, who are forgotten when they go.
      const heard = this.#deps.isMember(peer) ? this.#heardOf(peer) : undefined;
      if (heard !== undefined) heard.lastMs = this.#deps.clock.monotonicMs();
      rpc.messages = rpc.messages.filter(({ data }) => this.#isWithinLimit(heard, data?.length ?? 0));
      // Gossipsub rejects these before it asks for a verdict.
      for (const { seqno, signature, key } of rpc.messages)
        if (seqno !== undefined || signature !== undefined || key !== undefined) this.#deps.onEvent('reject');
      return receive(from, rpc);
    };
  }

  #isWithinLimit(heard: HeardPeer | undefined, bytes: number): boolean {
    if (heard === undefined) return false;
    if (heard.judging.take(0) && heard.messages.take(1) && heard.bytes.take(bytes)) return true;
    this.#deps.onEvent('limited');
    return false;
  }

  #heardOf(peer: NodeId): HeardPeer {
    const known = this.#heard.get(peer);
    if (known !== undefined) return known;
    const { clock } = this.#deps;
    const heard: HeardPeer = {
      messages: new TokenBucket(MESSAGES_PER_PEER, clock),
      bytes: new TokenBucket(BYTES_PER_PEER, clock),
      judging: new TokenBucket(JUDGING_PER_PEER, clock),
      lastMs: clock.monotonicMs(),
    };
    this.#heard.set(peer, heard);
    return heard;
  }
}
