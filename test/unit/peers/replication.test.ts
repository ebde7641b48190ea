import { describe, expect, it } from 'vitest';
import { encodeBatch, signBatch } from '../../../src/peers/replication/batch.ts';
import { BEACON_MS } from '../../../src/peers/replication/publisher.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';

function start(size: number, seed = 1): SimulatedCluster {
  const cluster = new SimulatedCluster({ seed, size });
  for (const node of cluster.nodes) node.start();
  return cluster;
}

function write(cluster: SimulatedCluster, node: SimulatedNode, count: number): void {
  for (let index = 0; index < count; index += 1)
    cluster.write(node, `job ${index}`, Buffer.alloc(900, index));
}

describe('replication', () => {
  it.each([2, 10, 20, 50])('tells all of %i nodes of a change at once, and is quiet then', async (size) => {
    const cluster = start(size);
    await cluster.clock.pass(5_000);
    cluster.write(cluster.nodes[1]!, 'a', Buffer.from('1'));
    expect(await cluster.untilEqual(1_000)).toBeLessThanOrEqual(200);
    await cluster.clock.pass(10_000);
    cluster.network.traffic.messages = cluster.network.traffic.bytes = 0;
    await cluster.clock.pass(20_000);
    const perNodeAndSecond = (total: number): number => total / size / 20;
    const { messages, bytes } = cluster.network.traffic;
    // A beacon of each node every 5 s, to all, which nobody has to pass on; and one question every 15 to 30 s.
    const beacons = (size - 1) / (BEACON_MS / 1000);
    expect(perNodeAndSecond(messages)).toBeLessThan(beacons + 1);
    expect(perNodeAndSecond(messages)).toBeGreaterThan(beacons - 1);
    expect(perNodeAndSecond(bytes)).toBeLessThan(400 * (size + 1));
    cluster.crashAll();
  });

  it('gives one who joins late everything, from its owners and of owners that are gone', async () => {
    const cluster = new SimulatedCluster({ seed: 2, size: 4 });
    const [anna, bert, clara, late] = cluster.nodes as [
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
    ];
    for (const node of [anna, bert, clara]) node.start();
    for (const node of [anna, bert]) write(cluster, node, 2_000);
    await cluster.untilEqual(5_000);
    anna.crash();
    late.start();
    await cluster.clock.pass(5_000);
    expect(late.store.count(anna.nodeId).live).toBe(2_000);
    expect(late.store.count(bert.nodeId).live).toBe(2_000);
    expect(late.counts.onViolation).toBe(0);
    cluster.crashAll();
  });

  it('notices what a peer hides of another’s log, and gets it from the owner', async () => {
    const cluster = new SimulatedCluster({ seed: 3, size: 3 });
    const [owner, liar, victim] = cluster.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
    owner.start();
    liar.start();
    write(cluster, owner, 10);
    await cluster.untilEqual(5_000);
    await cluster.clock.pass(6_000);
    owner.crash();
    const hidden = liar.store.record(owner.nodeId, 'job 4')!;
    liar.store.write({ owner: liar.store.owners()[0]!, put: [], drop: ['job 4'] }, true);
    victim.start();
    await cluster.clock.pass(10_000);
    expect(victim.store.count(owner.nodeId).live).toBe(9);
    expect(victim.counts.onMismatch).toBeGreaterThan(0);
    owner.start();
    await cluster.clock.pass(40_000);
    expect(victim.store.record(owner.nodeId, 'job 4')).toMatchObject({
      epoch: hidden.epoch,
      seq: hidden.seq,
    });
    cluster.crashAll();
  });

  it('believes nobody but the owner', async () => {
    const cluster = start(3, 4);
    const [owner, mallory, victim] = cluster.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
    write(cluster, owner, 3);
    await cluster.untilEqual(5_000);
    const { newest } = victim.replicator!.mirror.state(owner.nodeId)!;
    const forged = {
      ...newest, tick: newest.tick + 1, from: newest.head, to: newest.head + 5, head: newest.head + 5, count: 0,
    }; // prettier-ignore
    const signed = signBatch(forged, [], mallory.signing);
    mallory.network!.publish(encodeBatch({ ...signed, signature: mallory.signing.sign(signed.bytes) }, []));
    await cluster.clock.pass(1_000);
    // What it signs is its own log, and harms nobody else's.
    expect(victim.replicator!.mirror.state(owner.nodeId)!.coverage.upTo).toBe(3);
    expect(victim.counts.onViolation).toBe(0);
    const stolen = Buffer.from(signed.bytes);
    const at = stolen.indexOf(Buffer.from(mallory.signing.publicKey));
    Buffer.from(owner.signing.publicKey).copy(stolen, at);
    mallory.network!.publish(encodeBatch({ bytes: stolen, signature: mallory.signing.sign(stolen) }, []));
    await cluster.clock.pass(1_000);
    expect(victim.counts.onViolation).toBe(1);
    expect(victim.replicator!.mirror.state(owner.nodeId)!.coverage.upTo).toBe(3);
    cluster.crashAll();
  });

  it('is not moved by what was said before, however often it comes and after whatever restart', async () => {
    const cluster = start(2, 5);
    const [owner, victim] = cluster.nodes as [SimulatedNode, SimulatedNode];
    const said: Uint8Array[] = [];
    const publish = owner.network!.publish.bind(owner.network!);
    owner.network!.publish = (message) => {
      said.push(Uint8Array.from(message));
      publish(message);
    };
    for (let round = 0; round < 200; round += 1) {
      cluster.change(owner);
      await cluster.clock.pass(50);
    }
    await cluster.untilEqual(5_000);
    const before = victim.store.owners();
    const old = [...said];
    victim.crash();
    victim.start();
    await cluster.clock.pass(2_000);
    let told = 0;
    using _subscription = victim.replicator!.mirror.subscribe(() => void (told += 1));
    const judged = victim.counts.onGossip;
    const replayer = cluster.network.join('12D3KooWReplayer' as never);
    for (const message of old) replayer.publish(message);
    await cluster.clock.pass(1_000);
    expect(said.length).toBeGreaterThan(100);
    expect(victim.counts.onGossip - judged).toBeGreaterThanOrEqual(old.length);
    expect(told).toBe(0);
    expect(victim.store.owners().map(({ upTo, epoch }) => [epoch, upTo])).toEqual(
      before.map(({ upTo, epoch }) => [epoch, upTo]),
    );
    expect(cluster.differences()).toEqual([]);
    cluster.crashAll();
  });

  it('gives up an owner everywhere, and takes it back when it returns', async () => {
    const cluster = start(4, 6);
    const [gone, anna, bert, away] = cluster.nodes as [
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
    ];
    write(cluster, gone, 5);
    await cluster.untilEqual(5_000);
    away.crash();
    gone.crash();
    await cluster.clock.pass(1_000);
    expect(anna.replicator!.forget(gone.nodeId)).toBe('still heard');
    await cluster.clock.pass(20_000);
    expect(anna.replicator!.forget(gone.nodeId)).toBe('forgotten');
    expect(anna.replicator!.forget(gone.nodeId)).toBe('unknown');
    await cluster.clock.pass(5_000);
    expect(bert.store.count(gone.nodeId).live).toBe(0);
    away.start();
    await cluster.clock.pass(60_000);
    expect([anna, bert, away].map((node) => node.store.count(gone.nodeId).live)).toEqual([0, 0, 0]);
    gone.start();
    await cluster.untilEqual(40_000);
    expect(bert.store.count(gone.nodeId).live).toBe(5);
    cluster.crashAll();
  });

  it('opens a greater epoch when others know more of its log than it does, before anybody else believes less', async () => {
    const cluster = start(3, 7);
    const [owner, anna] = cluster.nodes as [SimulatedNode, SimulatedNode];
    write(cluster, owner, 5);
    const backup = owner.log.backup();
    for (let index = 0; index < 5; index += 1) cluster.write(owner, `job ${index}`, Buffer.from('later'));
    cluster.write(owner, 'new', Buffer.from('lost'));
    await cluster.untilEqual(5_000);
    owner.crash();
    owner.log.restore(backup);
    owner.start();
    await cluster.untilEqual(5_000);
    expect(owner.log.epoch).toBeGreaterThan(backup.epoch);
    expect(owner.counts.onBehind).toBe(1);
    expect(anna.store.record(owner.nodeId, 'new')?.body).toBeUndefined();
    expect(cluster.broken).toEqual([]);
    cluster.crashAll();
  });

  it('goes on without room for mirrors, and catches up when there is some', async () => {
    const cluster = start(3, 8);
    const [owner, full, other] = cluster.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
    write(cluster, owner, 5);
    await cluster.untilEqual(5_000);
    full.store.isFull = true;
    cluster.write(owner, 'a', Buffer.from('1'));
    await cluster.clock.pass(120_000);
    expect(other.store.record(owner.nodeId, 'a')?.seq).toBe(6);
    expect(full.store.record(owner.nodeId, 'a')).toBeUndefined();
    expect(full.counts.onOverflow).toBeGreaterThan(0);
    expect(full.counts.onViolation).toBe(0);
    full.store.isFull = false;
    await cluster.untilEqual(20_000);
    cluster.crashAll();
  });

  it('forgets what was removed long ago', async () => {
    const cluster = start(2, 9);
    const [owner, peer] = cluster.nodes as [SimulatedNode, SimulatedNode];
    write(cluster, owner, 2);
    cluster.write(owner, 'job 0', undefined);
    await cluster.untilEqual(5_000);
    await cluster.clock.pass(60_000);
    expect(peer.store.count(owner.nodeId)).toEqual({ live: 1, removed: 1 });
    peer.store.ageMs = 7 * 86_400_000;
    await cluster.clock.pass(600_000);
    expect(peer.store.count(owner.nodeId)).toEqual({ live: 1, removed: 0 });
    expect(peer.replicator!.mirror.state(owner.nodeId)).toMatchObject({ recordCount: 1, removedCount: 0 });
    cluster.crashAll();
  });
});
