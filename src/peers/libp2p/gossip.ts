import { TopicValidatorResult, type GossipSub } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
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
const BYTES_PER_PEER = { perSecond: 16 * 1024 * 1024, burst: 16 * 1024 * 1024 } as const;

/** What becomes of a message: sent by us, judged, or dropped since its sender sends too many. */
export type GossipEvent = 'sent' | GossipVerdict | 'limited';

const RESULTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<GossipVerdict, TopicValidatorResult>;

/** What gossipsub has beside what its types tell of. */
interface GossipSubInside {
  readonly streamsOutbound: ReadonlyMap<string, unknown>;
  handleReceivedRpc(from: PeerId, rpc: ReceivedRpc): Promise<void>;
}
interface ReceivedRpc {
  messages: { readonly topic?: string; readonly data?: Uint8Array }[];
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
  readonly #buckets = new Map<string, { readonly messages: TokenBucket; readonly bytes: TokenBucket }>();
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

  /** Whether what is told reaches the peer. Once its stream is reset gossipsub never makes a new one. */
  canReach(peer: NodeId): boolean {
    return this.#sub.streamsOutbound.has(peer);
  }

  forget(peer: NodeId): void {
    this.#buckets.delete(peer);
  }

  #verdictOf(message: Uint8Array, from: NodeId): GossipVerdict {
    if (!this.#deps.isMember(from)) return 'ignore';
    return message.length > MAX_GOSSIP_BYTES ? 'reject' : this.#judge(message, from);
  }

  /**
   * Before gossipsub sees them: it remembers every message before it asks whether anybody wants it, so that a flood would fill its
   * memory although nobody reads it.
   */
  #limitReceived(): void {
    const receive = this.#sub.handleReceivedRpc.bind(this.#sub);
    this.#sub.handleReceivedRpc = (from, rpc) => {
      rpc.messages = rpc.messages.filter(({ data }) => this.#isWithinLimit(from, data?.length ?? 0));
      return receive(from, rpc);
    };
  }

  #isWithinLimit(from: PeerId, bytes: number): boolean {
    const buckets = this.#bucketsOf(from.toString());
    if (buckets.messages.take(1) && buckets.bytes.take(bytes)) return true;
    this.#deps.onEvent('limited');
    return false;
  }

  #bucketsOf(peer: string) {
    let buckets = this.#buckets.get(peer);
    if (buckets === undefined) {
      const { clock } = this.#deps;
      buckets = {
        messages: new TokenBucket(MESSAGES_PER_PEER, clock),
        bytes: new TokenBucket(BYTES_PER_PEER, clock),
      };
      this.#buckets.set(peer, buckets);
    }
    return buckets;
  }
}
