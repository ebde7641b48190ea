import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { encodeBatch, signBatch } from '../../../src/peers/replication/batch.ts';
import type { SignedStatement, Statement } from '../../../src/peers/replication/statement.ts';
import { encodeRequest, SYNC_PROTOCOL } from '../../../src/peers/replication/sync-messages.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';
import type { VirtualNode } from '../../support/virtual-network.ts';

const MINUTE_MS = 60_000;

let cluster: SimulatedCluster;
let node: SimulatedNode;
let peer: SimulatedNode;
/** Says whatever a test has it say. */
let other: VirtualNode;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 11, size: 3 });
  [node, peer] = cluster.nodes as [SimulatedNode, SimulatedNode];
  for (const each of cluster.nodes) each.start();
  cluster.write(node, 'a', Buffer.from('first life'));
  other = cluster.network.join('12D3KooWOther' as NodeId);
  await cluster.clock.pass(30_000);
});
afterEach(() => cluster.crashAll());

const ageMs = (): number =>
  cluster.clock.monotonicMs() - peer.replicator!.mirror.state(node.nodeId)!.heardAtMs;
const newest = (): Statement => peer.replicator!.mirror.state(node.nodeId)!.newest;

/** A statement in the node's own name. */
function forge(place: Partial<Statement> = {}): SignedStatement {
  const { owner: _owner, root: _root, count: _count, ...last } = newest();
  return signBatch({ ...last, from: last.head, to: last.head, ...place }, [], node.signing);
}

function gossip(signed: SignedStatement): void {
  other.publish(encodeBatch(signed, []));
}

async function ask(evidence: readonly SignedStatement[], isInDoubt: boolean): Promise<void> {
  const opening = other.open(node.nodeId, SYNC_PROTOCOL, new AbortController().signal);
  await cluster.clock.pass(100);
  const stream = await opening;
  const pull = { kind: 'pull', wants: [], others: false, forgotten: [] } as const;
  await stream.write(encodeRequest({ ...pull, evidence, isInDoubt }));
  await cluster.clock.pass(100);
}

describe('a node whose clock was set back', () => {
  it.each([
    ['the count of its lives', () => node.loseMirrors()],
    ['all that it had', () => node.loseStores()],
  ])('and that lost %s is heard and believed', async (_what, lose) => {
    const before = newest();
    node.crash();
    lose();
    node.setClockBack();
    await cluster.clock.pass(MINUTE_MS);
    node.start();
    cluster.write(node, 'b', Buffer.from('second life'));
    await cluster.clock.pass(10_000);
    expect(ageMs()).toBeLessThanOrEqual(5_000);
    expect(newest().incarnation).toBeGreaterThan(before.incarnation);
    expect(newest().epoch).toBeGreaterThanOrEqual(before.epoch);
    expect(cluster.differences()).toEqual([]);
    expect(cluster.nodes.map(({ counts }) => counts.onCopiedIdentity)).toEqual([0, 0, 0]);
  });

  it('begins its next life above the one that it was raised to', async () => {
    node.crash();
    node.loseMirrors();
    node.setClockBack();
    node.start();
    await cluster.clock.pass(10_000);
    const { incarnation } = newest();
    node.crash();
    node.start();
    await cluster.clock.pass(10_000);
    expect(newest().incarnation).toBe(incarnation + 1);
  });
});

describe('what a node has not said', () => {
  it('in a later life, and after this one began, is said by a copy', async () => {
    gossip(forge({ incarnation: newest().incarnation + 1_000 }));
    await cluster.clock.pass(100);
    expect(node.counts.onCopiedIdentity).toBe(1);
  });

  it('is contended with only so often', async () => {
    for (let round = 0; round < 10; round += 1) {
      gossip(forge({ incarnation: newest().incarnation + 1_000_000 }));
      await cluster.clock.pass(100);
    }
    const { incarnation } = newest();
    expect(node.counts.onCopiedIdentity).toBe(10);
    await cluster.clock.pass(MINUTE_MS);
    expect(newest().incarnation).toBe(incarnation);
    // The other one has ended, and after a while this one is heard again.
    await cluster.clock.pass(10 * MINUTE_MS);
    expect(newest().incarnation).toBeGreaterThan(incarnation);
    expect(ageMs()).toBeLessThanOrEqual(5_000);
  });

  it('in an earlier life is said by a copy when it goes on, by turns with this one', async () => {
    const { incarnation } = newest();
    node.crash();
    await cluster.clock.pass(1_000);
    node.start();
    await cluster.clock.pass(20_000);
    for (let tick = 1; tick <= 4; tick += 1) {
      expect(node.counts.onCopiedIdentity).toBe(0);
      gossip(forge({ incarnation, tick: 1_000 + tick }));
      await cluster.clock.pass(5_000);
    }
    expect(node.counts.onCopiedIdentity).toBe(1);
  });
});

describe('a peer in doubt', () => {
  it('has the node begin a new epoch when it shows what the node has said in this one', async () => {
    const { epoch } = node.log;
    await ask([peer.replicator!.mirror.state(node.nodeId)!.newestSigned], true);
    expect(node.log.epoch).toBeGreaterThan(epoch);
    const opened = node.log.epoch;
    await cluster.clock.pass(MINUTE_MS);
    await ask([peer.replicator!.mirror.state(node.nodeId)!.newestSigned], true);
    expect(node.log.epoch).toBe(opened);
  });

  it.each<[string, () => SignedStatement[]]>([
    ['nothing', () => []],
    ['what was said in a life before', () => [forge({ incarnation: 1, from: 0, to: 0, head: 0 })]],
    ['what another node has said', () => [node.replicator!.mirror.state(peer.nodeId)!.newestSigned]],
    ['what nobody has signed', () => [{ ...forge({ tick: 1 }), signature: Buffer.alloc(64) }]],
  ])('is not heeded when it shows %s', async (_what, evidence) => {
    const { epoch } = node.log;
    await ask(evidence(), true);
    expect(node.log.epoch).toBe(epoch);
  });
});

describe('an owner that has lost what it said, and does not know it', () => {
  it('is heard, and not again by what it said before', async () => {
    const { epoch, incarnation, tick } = newest();
    node.crash();
    await cluster.clock.pass(MINUTE_MS);
    const lost = forge({ epoch: epoch - 1, incarnation: incarnation + 1, tick });
    gossip(lost);
    await cluster.clock.pass(1_000);
    expect(ageMs()).toBeLessThanOrEqual(1_000);
    await cluster.clock.pass(MINUTE_MS);
    gossip({ ...lost });
    await cluster.clock.pass(1_000);
    expect(ageMs()).toBeGreaterThan(MINUTE_MS);
  });
});
