import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { Pulls, type PullScope } from '../../../src/peers/replication/pulls.ts';
import { SYNC_PROTOCOL } from '../../../src/peers/replication/sync-messages.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';
import { StubNetwork } from '../../support/stub-network.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';

const PEERS = Array.from({ length: 8 }, (_, index) => `peer ${index}` as NodeId);

let clock: SteppedClock;
let network: StubNetwork;
let pulls: Pulls;
/** Who was asked, in order, and how to answer. */
let asked: {
  readonly peer: NodeId;
  readonly scope: PullScope;
  readonly answer: PromiseWithResolvers<void>;
}[];

beforeEach(() => {
  clock = new SteppedClock();
  network = new StubNetwork();
  asked = [];
  pulls = new Pulls({
    network,
    clock,
    random: () => 0.5,
    pull: (peer, scope) => {
      const answer = Promise.withResolvers<void>();
      asked.push({ peer, scope, answer });
      return answer.promise;
    },
    isBehind: () => true,
    onFailure: () => undefined,
  });
});

const peersAsked = (): NodeId[] => asked.map(({ peer }) => peer);

describe('pulls', () => {
  it('give each peer its turn, also after those that fail or never end', async () => {
    network.connect(...PEERS);
    expect(peersAsked()).toEqual(PEERS.slice(0, 4));
    // The first ones fail, and want to be asked again at once.
    for (const { answer, peer } of asked.slice(0, 2)) {
      answer.reject(new Error('failed'));
      await settle();
      pulls.ask(peer, 'own');
    }
    await settle();
    expect(peersAsked()).toEqual(PEERS.slice(0, 6));
    for (const { answer } of asked.slice(2, 6)) answer.resolve();
    await settle();
    expect(peersAsked()).toEqual([...PEERS, PEERS[0], PEERS[1]]);
  });

  it('keep the turn of one that is asked again while it waits', async () => {
    network.connect(...PEERS);
    pulls.ask(PEERS[4]!, 'all');
    asked[0]!.answer.resolve();
    await settle();
    expect(asked.at(-1)).toMatchObject({ peer: PEERS[4], scope: 'all' });
  });

  it('ask nobody who is not connected, then or later', async () => {
    pulls.ask(PEERS[0]!, 'all');
    await clock.advance(120_000);
    expect(asked).toEqual([]);
    network.connect(PEERS[0]!);
    asked[0]!.answer.reject(new Error('failed'));
    await settle();
    network.disconnect(PEERS[0]!);
    await clock.advance(120_000);
    expect(asked).toHaveLength(1);
  });
});

describe('an answer', () => {
  it('that stalls is given up for the time being', async () => {
    const cluster = new SimulatedCluster({ seed: 41, size: 2 });
    const [node, { nodeId }] = cluster.nodes as [SimulatedNode, SimulatedNode];
    const slow = cluster.network.join(nodeId);
    slow.handle(SYNC_PROTOCOL, () => new Promise(() => undefined));
    node.start();
    await cluster.clock.pass(9_000);
    expect(node.counts.onPullFailed).toBe(0);
    await cluster.clock.pass(2_000);
    expect(node.counts.onPullFailed).toBe(1);
    cluster.crashAll();
  });
});

describe('a question', () => {
  it('that is never asked keeps no place', async () => {
    const cluster = new SimulatedCluster({ seed: 42, size: 1 });
    const [node] = cluster.nodes as [SimulatedNode];
    node.start();
    const mute = cluster.network.join('12D3KooWMute' as NodeId);
    const opening = mute.open(node.nodeId, SYNC_PROTOCOL, new AbortController().signal);
    await cluster.clock.pass(100);
    const stream = await opening;
    let isReset = false;
    stream.read().catch(() => (isReset = true));
    await cluster.clock.pass(9_000);
    expect(isReset).toBe(false);
    await cluster.clock.pass(2_000);
    expect(isReset).toBe(true);
    cluster.crashAll();
  });
});
