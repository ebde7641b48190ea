import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBatch, signBatch } from '../../../src/peers/replication/batch.ts';
import { encodeRecord } from '../../../src/peers/replication/log-record.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';

/** Less than any node waits before it asks for what it has not been told, ms. */
const TOLD_WITHIN_MS = 20;
const SIZE = 8;

let cluster: SimulatedCluster;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1, size: SIZE });
  for (const node of cluster.nodes) node.start();
  // All have been heard by all, and have asked each other for what there is.
  await cluster.clock.pass(6_000);
});
afterEach(() => cluster.crashAll());

async function messagesFor(node: SimulatedNode): Promise<number> {
  cluster.network.traffic.messages = 0;
  cluster.write(node, 'a', Buffer.from('1'));
  await cluster.clock.pass(TOLD_WITHIN_MS);
  return cluster.network.traffic.messages;
}

describe('a message', () => {
  it('is passed on by nobody when its writer has told everybody', async () => {
    expect(await messagesFor(cluster.nodes[0]!)).toBe(SIZE - 1);
    expect(cluster.differences()).toEqual([]);
  });

  it('is passed on to those whom its writer does not reach', async () => {
    const [writer, far] = cluster.nodes as [SimulatedNode, SimulatedNode];
    const pair = [writer.nodeId, far.nodeId];
    cluster.network.cut((a, b) => pair.includes(a) && pair.includes(b));
    expect(await messagesFor(writer)).toBeGreaterThan(SIZE - 1);
    expect(cluster.differences()).toEqual([]);
  });

  it('is passed on whatever another than its writer says of whom it told', async () => {
    const [writer, mallory, far] = cluster.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
    const { epoch, incarnation, tick, card } = far.replicator!.mirror.state(writer.nodeId)!.newest;
    writer.crash();
    // Only the others of the cluster are connected with both.
    const pair = [mallory.nodeId, far.nodeId];
    cluster.network.cut((a, b) => pair.includes(a) && pair.includes(b));
    const leaves = [encodeRecord({ key: 'a', seq: 1, body: Buffer.from('1') })];
    const place = { epoch, incarnation, tick: tick + 1, from: 0, to: 1, head: 1, floor: 0 };
    const signed = signBatch({ ...place, digest: new Uint8Array(32), card }, leaves, writer.signing);
    mallory.network!.publish(encodeBatch(signed, leaves, 1_000));
    await cluster.clock.pass(TOLD_WITHIN_MS);
    expect(far.store.record(writer.nodeId, 'a')?.seq).toBe(1);
  });
});
