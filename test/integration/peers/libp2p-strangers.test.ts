import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { gossipTopic } from '../../../src/peers/libp2p/gossip-options.ts';
import { figure } from '../../support/figure.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';
import { waitFor } from '../../support/wait-for.ts';
import { connected, Libp2pCluster, MEMBER_PROTOCOL, type StartedPeer } from './libp2p-harness.ts';
import { RawPeer } from './raw-peer.ts';

const PATIENCE_MS = 20_000;
/** The full form watches for a minute. */
const WATCH_MS = figure(3_000, 60_000);

let cluster: Libp2pCluster;
let node: StartedPeer;
let friend: StartedPeer;
let cleanUp: AsyncDisposableStack;
beforeEach(async () => {
  cleanUp = new AsyncDisposableStack();
  cluster = cleanUp.use(new Libp2pCluster());
  [node, friend] = await cluster.startPair();
});
afterEach(async () => {
  await cleanUp.disposeAsync();
});

const portOf = ({ network }: StartedPeer): number => network.port;
const lines = (peer: StartedPeer, reason: string) => peer.log.filter((line) => line['reason'] === reason);

/** Messages that were heard by each side of those that the other told, for a while. */
async function heardBetween(
  ours: StartedPeer,
  theirs: { publish(message: Uint8Array): void; onMessage(listener: () => void): void },
): Promise<{ byUs: number; byThem: number }> {
  const heard = { byUs: 0, byThem: 0 };
  ours.network.onGossip((message) => {
    if (Buffer.from(message).toString().startsWith('stranger')) heard.byUs += 1;
    return 'accept';
  });
  theirs.onMessage(() => (heard.byThem += 1));
  const endMs = performance.now() + WATCH_MS;
  for (let count = 0; performance.now() < endMs; count++) {
    theirs.publish(Buffer.from(`stranger ${count}`));
    ours.network.publish(Buffer.from(`node ${count}`));
    await delay(50);
  }
  return heard;
}

describe('G1: a stranger', () => {
  it('that has no key gets nothing, and tells nothing', async () => {
    const topic = gossipTopic(node.options.clusterId);
    const stranger = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify(), gossip: gossipsub({ allowPublishToZeroTopicPeers: true }) },
    });
    cleanUp.defer(async () => stranger.stop());
    const { gossip } = stranger.services;
    gossip.subscribe(topic);
    const dialling = stranger.dial(multiaddr(node.address)).then(
      () => 'connected',
      () => 'refused',
    );
    const heard = await heardBetween(node, {
      publish: (message) => void gossip.publish(topic, message),
      onMessage: (listener) => gossip.addEventListener('message', listener),
    });
    expect(heard).toEqual({ byUs: 0, byThem: 0 });
    expect(await dialling).toBe('refused');
    expect(node.network.connected()).toEqual([friend.network.nodeId]);
  });

  it('that has another key gets nothing, tells nothing, and is told of once', async () => {
    const stranger = await cluster.start({ clusterKey: randomBytes(32), bootstrap: [node.address] });
    const heard = await heardBetween(node, {
      publish: (message) => stranger.network.publish(message),
      onMessage: (listener) =>
        stranger.network.onGossip(() => {
          listener();
          return 'accept';
        }),
    });
    expect(heard).toEqual({ byUs: 0, byThem: 0 });
    expect(stranger.network.connected()).toEqual([]);
    expect(node.network.connected()).toEqual([friend.network.nodeId]);
    // It tries again and again, and so is counted more often than logged.
    await waitFor('a second refusal', PATIENCE_MS, () => (node.refused.get('cluster_key') ?? 0) > 1);
    expect(lines(node, 'cluster_key')).toHaveLength(1);
    expect(lines(stranger, 'cluster_key')).toHaveLength(1);
  });

  it('that has the key but is not on the list gets nothing, tells nothing, and is told of once', async () => {
    const guarded = await cluster.start({ allow: [node.network.nodeId], bootstrap: [node.address] });
    await connected(guarded, node);
    const stranger = await RawPeer.start(guarded, {
      identity: cluster.identity(),
      clusterKey: cluster.clusterKey,
    });
    cleanUp.use(stranger);
    const { gossip } = stranger.host.services;
    const dials = setInterval(() => void stranger.dial(guarded).catch(() => undefined), 200);
    cleanUp.defer(() => clearInterval(dials));
    const heard = await heardBetween(guarded, {
      publish: (message) => void gossip.publish(stranger.topic, message),
      onMessage: (listener) => gossip.addEventListener('message', listener),
    });
    expect(heard).toEqual({ byUs: 0, byThem: 0 });
    expect(guarded.network.connected()).toEqual([node.network.nodeId]);
    expect(guarded.refused.get('not_allowed')).toBeGreaterThan(1);
    expect(lines(guarded, 'not_allowed')).toHaveLength(1);
  });

  it('is not dialled either when it is not on the list', async () => {
    const guarded = await cluster.start({ allow: [friend.network.nodeId], bootstrap: [node.address] });
    await delay(1_000);
    expect(guarded.network.connected()).toEqual([]);
  });
});

describe('a peer', () => {
  it('that speaks another version of the protocol is refused, told of once and counted', async () => {
    const old = await cluster.start({
      bootstrap: [node.address],
      protocol: { ...MEMBER_PROTOCOL, id: '/container-manager/sync/0.9.0' },
    });
    for (const peer of [node, old])
      await waitFor('refusals', PATIENCE_MS, () => (peer.refused.get('protocol_version') ?? 0) > 1);
    expect(node.network.connected()).toEqual([friend.network.nodeId]);
    expect(old.network.connected()).toEqual([]);
    expect(lines(node, 'protocol_version')).toMatchObject([
      { peer: old.network.nodeId, msg: 'refused: the peer does not speak our version of the protocol' },
    ]);
  });

  it('that speaks a later minor version is welcome', async () => {
    const newer = await cluster.start({
      bootstrap: [node.address],
      protocol: { ...MEMBER_PROTOCOL, id: '/container-manager/sync/1.7.0' },
    });
    await connected(newer, node);
  });

  it('is cut off when it is denied, and found again when it is allowed', async () => {
    const { nodeId } = friend.network;
    node.network.deny(nodeId);
    await waitFor('its end', PATIENCE_MS, () => node.network.connected().length === 0);
    await waitFor('a try that is refused', PATIENCE_MS, () => (node.refused.get('not_allowed') ?? 0) > 0);
    expect(node.network.connected()).toEqual([]);
    node.network.allow(nodeId);
    await connected(node, friend);
  });

  it('that has the id of this node is never connected with', async () => {
    const twin = await cluster.start({ identity: node.options.identity, bootstrap: [node.address] });
    await delay(1_000);
    expect(twin.network.connected()).toEqual([]);
    expect(node.network.connected()).toEqual([friend.network.nodeId]);
  });
});

describe('what is no peer at all', () => {
  async function socketTo(peer: StartedPeer): Promise<Socket> {
    const socket = connect(portOf(peer), '127.0.0.1');
    cleanUp.defer(() => void socket.destroy());
    socket.on('error', () => undefined);
    // What is one too many is reset before it knows that it was connected.
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    return socket;
  }
  const ended = (socket: Socket): Promise<unknown> =>
    socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));
  /** The two that know each other still do, and hear each other. */
  async function expectUndisturbed(): Promise<void> {
    expect(node.network.connected()).toEqual([friend.network.nodeId]);
    const heard = new Set<string>();
    friend.network.onGossip((message) => {
      heard.add(Buffer.from(message).toString());
      return 'accept';
    });
    const message = randomBytes(8).toString('hex');
    node.network.publish(Buffer.from(message));
    await waitFor('the message', PATIENCE_MS, () => heard.has(message));
  }

  it.each([
    ['random bytes', () => randomBytes(100_000)],
    ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10))],
    ['a greeting of libp2p without a key', () => Buffer.from('\x13/multistream/1.0.0\n'.repeat(4))],
    ['zeros', () => Buffer.alloc(1_000_000)],
  ])('is dropped: %s', async (_what, make) => {
    const socket = await socketTo(node);
    socket.write(make());
    socket.resume();
    await ended(socket);
    await waitFor('the refusal', PATIENCE_MS, () => node.refused.size > 0);
    await expectUndisturbed();
  });

  it('is dropped when it stops in the middle, or says nothing, before it has held a place for long', async () => {
    const sockets: Socket[] = [];
    for (let count = 0; count < 30; count++) {
      const socket = await socketTo(node);
      socket.write(randomBytes(count));
      socket.resume();
      sockets.push(socket);
    }
    await expectUndisturbed();
    await Promise.all(sockets.map(ended));
    expect(node.refused.get('limit')).toBeGreaterThan(0);
    await expectUndisturbed();
    // There is room again for those who are welcome.
    const late = await cluster.start({ bootstrap: [node.address] });
    await connected(late, node);
  });
});

describe('a node', () => {
  it('does not start without a key of its cluster', async () => {
    for (const clusterKey of [new Uint8Array(0), randomBytes(31)])
      await expect(cluster.start({ clusterKey })).rejects.toThrow('no private network without a cluster key');
  });

  it('says which port it cannot listen on, with the code of the system, and leaves nothing behind', async () => {
    const port = portOf(node);
    const clock = new SteppedClock();
    await expect(cluster.start({ port }, { clock })).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringContaining(`p2p port ${port}`) as string,
    });
    // What it had begun would set its next timer by then.
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });

  it('is found by its own id, whoever dials an address where somebody else is', async () => {
    const other = cluster.identity().nodeId as NodeId;
    const looking = await cluster.start({ bootstrap: [node.address.replace(node.network.nodeId, other)] });
    await delay(1_000);
    expect(looking.network.connected()).toEqual([]);
    expect(looking.refused.get('cluster_key') ?? 0).toBe(0);
  });
});
