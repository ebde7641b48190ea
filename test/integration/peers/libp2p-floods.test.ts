import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from '@libp2p/interface';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { MESSAGES_PER_PEER } from '../../../src/peers/libp2p/gossip.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, MEMBER_PROTOCOL, type StartedPeer } from './libp2p-harness.ts';
import { RawPeer } from './raw-peer.ts';

const PATIENCE_MS = 30_000;
const FLOOD_MESSAGES = figure(10_000, 100_000);
const FLOOD_STREAMS = 10_000;
/**
 * What a flood may add to the memory: of this process, in which the one that floods is, too. When the garbage is collected is up to how
 * busy the machine is; without a limit the flood would add more than a GiB.
 */
const MAX_GROWTH_BYTES = figure(512, 192) * 1024 * 1024;
const FRIEND_INTERVAL_MS = 20;
/** Others' messages while the flood goes on. */
const MAX_DELAY_MS = boundMs(2_000);

let cluster: Libp2pCluster;
let node: StartedPeer;
let friend: StartedPeer;
let hostile: RawPeer;
let connection: Connection;
let cleanUp: AsyncDisposableStack;
beforeEach(async () => {
  cleanUp = new AsyncDisposableStack();
  cluster = cleanUp.use(new Libp2pCluster());
  [node, friend] = await cluster.startPair();
  hostile = await RawPeer.start(node, { identity: cluster.identity(), clusterKey: cluster.clusterKey });
  cleanUp.use(hostile);
  connection = await hostile.dial(node);
  await waitFor('both to be connected', PATIENCE_MS, () => node.network.connected().length === 2);
});
afterEach(async () => {
  await cleanUp.disposeAsync();
});

const hostileId = (): NodeId => hostile.host.peerId.toString() as NodeId;

/** Gossip of the friend reaches the node. */
async function gossipFlows(): Promise<void> {
  let heard = false;
  node.network.onGossip(() => {
    heard = true;
    return 'accept';
  });
  await waitFor('gossip to flow', PATIENCE_MS, () => {
    friend.network.publish(randomBytes(16));
    return heard;
  });
}

/** How long a friend's messages take, ms: the slowest of those told in the meantime. */
async function slowestWhile(work: () => Promise<void>): Promise<number> {
  const sentAtMs = new Map<string, number>();
  let slowestMs = 0;
  node.network.onGossip((message) => {
    const text = Buffer.from(message.subarray(0, 64)).toString('latin1');
    const atMs = sentAtMs.get(text);
    if (atMs !== undefined) {
      slowestMs = Math.max(slowestMs, performance.now() - atMs);
      sentAtMs.delete(text);
    }
    return 'accept';
  });
  const timer = setInterval(() => {
    const text = `friend ${sentAtMs.size} ${performance.now()}`;
    sentAtMs.set(text, performance.now());
    friend.network.publish(Buffer.from(text));
  }, FRIEND_INTERVAL_MS);
  cleanUp.defer(() => clearInterval(timer));
  await work();
  clearInterval(timer);
  await waitFor('the last messages of the friend', PATIENCE_MS, () => sentAtMs.size === 0);
  return slowestMs;
}

describe('a member that floods', () => {
  it('with gossip is cut short, and keeps nobody else from being heard', async () => {
    await gossipFlows();
    const rssBefore = process.memoryUsage().rss;
    const judgedBefore = node.gossiped.get('accept') ?? 0;
    const startedMs = performance.now();
    const slowestMs = await slowestWhile(() => hostile.flood(connection, FLOOD_MESSAGES, 300));
    expect(slowestMs).toBeLessThan(MAX_DELAY_MS);
    const { perSecond, burst } = MESSAGES_PER_PEER;
    const elapsedMs = performance.now() - startedMs;
    // The friend's are among them.
    const mostJudged = burst + (perSecond * elapsedMs) / 1000 + elapsedMs / FRIEND_INTERVAL_MS;
    expect((node.gossiped.get('accept') ?? 0) - judgedBefore).toBeLessThanOrEqual(mostJudged);
    expect(process.memoryUsage().rss - rssBefore).toBeLessThan(MAX_GROWTH_BYTES);
    expect(node.network.connected()).toContain(friend.network.nodeId);
  });

  it('with messages that are rejected is soon not heard at all', async () => {
    const { gossip } = hostile.host.services;
    let judged = 0;
    node.network.onGossip((_message, from) => {
      if (from === hostileId()) judged += 1;
      return from === hostileId() ? 'reject' : 'accept';
    });
    /** How many of so many messages are judged. */
    const judgedOf = async (count: number): Promise<number> => {
      const before = judged;
      for (let index = 0; index < count; index++) {
        void gossip.publish(hostile.topic, randomBytes(32));
        await delay(5);
      }
      return judged - before;
    };
    await waitFor('its first messages', PATIENCE_MS, async () => (await judgedOf(10)) > 0);
    // Its score falls with the square of what was rejected, and is looked up every second.
    await waitFor('silence', PATIENCE_MS, async () => (await judgedOf(20)) === 0);
    expect(await judgedOf(100)).toBe(0);
    expect(node.network.connected()).toHaveLength(2);
  });

  it('with streams gets no more than it may have, and nobody else fewer', async () => {
    let served = 0;
    node.network.handle(MEMBER_PROTOCOL, async (stream) => {
      served += 1;
      while ((await stream.read()) !== undefined) continue;
    });
    const rssBefore = process.memoryUsage().rss;
    await gossipFlows();
    const slowestMs = await slowestWhile(async () => {
      for (let opened = 0; opened < FLOOD_STREAMS; opened += 50) {
        const batch = Array.from({ length: 50 }, () =>
          connection.newStream([MEMBER_PROTOCOL.id], { maxOutboundStreams: 100_000 }).catch(() => undefined),
        );
        await Promise.all(batch);
        if (connection.status !== 'open') break;
      }
    });
    expect(served).toBeLessThanOrEqual(MEMBER_PROTOCOL.maxInboundStreams);
    expect(slowestMs).toBeLessThan(MAX_DELAY_MS);
    expect(process.memoryUsage().rss - rssBefore).toBeLessThan(MAX_GROWTH_BYTES);
    const own = await friend.network.open(node.network.nodeId, MEMBER_PROTOCOL, new AbortController().signal);
    await own.write(Buffer.from('still served'));
    await waitFor(
      'the friend to be served',
      PATIENCE_MS,
      () => served > MEMBER_PROTOCOL.maxInboundStreams - 1,
    );
    own.abort(new Error('enough'));
  });

  it('a stream is reset, and its memory is bounded', async () => {
    const ended = Promise.withResolvers<unknown>();
    node.network.handle(MEMBER_PROTOCOL, async (_stream, _from, signal) => {
      // Never reads.
      signal.addEventListener('abort', () => ended.resolve(signal.reason));
      await ended.promise;
    });
    const stream = await connection.newStream([MEMBER_PROTOCOL.id]);
    // Beyond its window, which an honest peer keeps: what is not read is not kept.
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 200 && stream.status === 'open'; count++) {
      stream.maxWriteBufferLength = Number.POSITIVE_INFINITY;
      stream.send(randomBytes(64 * 1024));
      await delay(1);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
    stream.abort(new Error('enough'));
    expect(await ended.promise).toBeInstanceOf(Error);
  });

  it.each([
    ['a frame that is too long', Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x7f]), randomBytes(1_000)])],
    ['a length that never ends', Buffer.alloc(100, 0xff)],
    ['half a frame', Buffer.concat([Buffer.from([100]), randomBytes(50)])],
  ])('or sends %s, is told of by the stream alone', async (_what, sent) => {
    const failed = Promise.withResolvers<unknown>();
    node.network.handle(MEMBER_PROTOCOL, async (stream) => {
      await stream.read().catch((error: unknown) => failed.resolve(error));
    });
    const stream = await connection.newStream([MEMBER_PROTOCOL.id]);
    stream.send(sent);
    await stream.close().catch(() => undefined);
    expect(await failed.promise).toMatchObject({ code: 'peer_violation' });
    expect(node.network.connected()).toHaveLength(2);
  });
});
