import type { GossipSub, TopicValidatorFn } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import {
  BYTES_PER_PEER,
  Gossip,
  JUDGING_PER_PEER,
  MESSAGES_PER_PEER,
  type GossipEvent,
} from '../../../../src/peers/libp2p/gossip.ts';
import { MAX_GOSSIP_BYTES, type GossipVerdict } from '../../../../src/peers/network.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

const TOPIC = 'topic';
const A = 'peer-a' as NodeId;
const B = 'peer-b' as NodeId;
const C = 'peer-c' as NodeId;
const idOf = (peer: NodeId): PeerId => ({ toString: () => peer }) as unknown as PeerId;

/** Gossipsub, as far as it takes and hands on. */
class FakeGossipSub {
  readonly topicValidators = new Map<string, TopicValidatorFn>();
  readonly streamsOutbound = new Map<string, unknown>([
    [A, { rawStream: { status: 'open' } }],
    [C, { rawStream: { status: 'reset' } }],
  ]);
  taken = 0;

  handleReceivedRpc(_from: PeerId, rpc: { messages: unknown[] }): Promise<void> {
    this.taken += rpc.messages.length;
    return Promise.resolve();
  }

  publish(): Promise<void> {
    return Promise.reject(new Error('nobody is there'));
  }

  validate(from: NodeId, data: Uint8Array): unknown {
    return this.topicValidators.get(TOPIC)?.(idOf(from), { type: 'unsigned', topic: TOPIC, data });
  }
}

describe('gossip', () => {
  let sub: FakeGossipSub;
  let clock: SteppedClock;
  let events: GossipEvent[];
  let gossip: Gossip;
  let members: Set<NodeId>;
  beforeEach(() => {
    sub = new FakeGossipSub();
    clock = new SteppedClock();
    events = [];
    members = new Set([A, B]);
    gossip = new Gossip(sub as unknown as GossipSub, {
      clock,
      topic: TOPIC,
      isMember: (peer) => members.has(peer),
      onEvent: (event) => events.push(event),
    });
  });
  const receive = async (from: NodeId, count: number, bytes: number): Promise<number> => {
    const before = sub.taken;
    await sub.handleReceivedRpc(idOf(from), {
      messages: Array.from({ length: count }, () => ({ topic: TOPIC, data: new Uint8Array(bytes) })),
    });
    return sub.taken - before;
  };

  it('takes so many messages of one peer, and more with time, whatever others send', async () => {
    const { burst, perSecond } = MESSAGES_PER_PEER;
    expect(await receive(A, 2 * burst, 10)).toBe(burst);
    expect(events.filter((event) => event === 'limited')).toHaveLength(burst);
    expect(await receive(A, 10, 10)).toBe(0);
    expect(await receive(B, 10, 10)).toBe(10);
    await clock.advance(1_000);
    expect(await receive(A, 2 * burst, 10)).toBe(perSecond);
  });

  it.each(['seqno', 'signature', 'key'])(
    'counts what gossipsub rejects unasked: a message with a %s',
    async (field) => {
      const message = { topic: TOPIC, data: new Uint8Array(10) };
      await sub.handleReceivedRpc(idOf(A), {
        messages: [{ ...message, [field]: new Uint8Array() }, message],
      });
      expect(sub.taken).toBe(2);
      expect(events).toEqual(['reject']);
    },
  );

  it('takes so many bytes of one peer', async () => {
    const taken = await receive(A, 1_000, MAX_GOSSIP_BYTES);
    expect(taken * MAX_GOSSIP_BYTES).toBe(BYTES_PER_PEER.burst);
  });

  it('takes so much of what takes long to judge, of one peer', async () => {
    const judgeMs = 100;
    let nowMs = 0;
    gossip = new Gossip(sub as unknown as GossipSub, {
      clock: {
        monotonicMs: () => nowMs,
        wallMs: () => nowMs,
        after: (ms, action) => clock.after(ms, action),
      },
      topic: TOPIC,
      isMember: () => true,
      onEvent: () => undefined,
    });
    gossip.onGossip(() => {
      nowMs += judgeMs;
      return 'accept';
    });
    let judged = 0;
    for (; judged < 100 && (await receive(A, 1, 10)) === 1; judged += 1) sub.validate(A, Buffer.from('x'));
    // While it is judged the time passes, too, of which a part is allowed.
    const { perSecond, burst } = JUDGING_PER_PEER;
    expect(judged).toBeCloseTo(burst / (judgeMs * (1 - perSecond / 1_000)), -1);
    expect(await receive(B, 1, 10)).toBe(1);
    nowMs += 1_000;
    expect(await receive(A, 1, 10)).toBe(1);
  });

  it.each<[GossipVerdict, string]>([
    ['accept', 'accept'],
    ['ignore', 'ignore'],
    ['reject', 'reject'],
  ])('tells what the judge says: %s', (verdict, result) => {
    gossip.onGossip(() => verdict);
    expect(sub.validate(A, Buffer.from('x'))).toBe(result);
    expect(events).toEqual([verdict]);
  });

  it('asks nobody about what is too long', () => {
    gossip.onGossip(() => 'accept');
    expect(sub.validate(A, new Uint8Array(MAX_GOSSIP_BYTES))).toBe('accept');
    expect(sub.validate(A, new Uint8Array(MAX_GOSSIP_BYTES + 1))).toBe('reject');
  });

  it('takes nothing of who is not admitted, and remembers nothing of it', async () => {
    members.delete(A);
    expect(await receive(A, 10, 10)).toBe(0);
    expect(events).toEqual([]);
    expect(gossip.heardAtMs(A)).toBeUndefined();
    members.add(A);
    expect(await receive(A, 10, 10)).toBe(10);
  });

  it('knows when it last heard a member, until that is gone', async () => {
    await clock.advance(5_000);
    await receive(A, 0, 0);
    await clock.advance(5_000);
    expect([gossip.heardAtMs(A), gossip.heardAtMs(B)]).toEqual([5_000, undefined]);
    gossip.forget(A);
    expect(gossip.heardAtMs(A)).toBeUndefined();
  });

  it('ignores everything before there is a judge', () => {
    expect(sub.validate(A, Buffer.from('x'))).toBe('ignore');
  });

  it('knows whom it reaches, and does not mind when it reaches nobody', () => {
    expect([A, B, C].map((peer) => gossip.canReach(peer))).toEqual([true, false, false]);
    gossip.publish(Buffer.from('x'));
    expect(events).toEqual(['sent']);
  });
});
