import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { ForgottenOwners } from '../../../src/peers/replication/forgotten-owners.ts';
import type { ForgottenMark } from '../../../src/peers/replication/mirror-store.ts';
import {
  encodeRequest,
  SYNC_PROTOCOL,
  type Forgotten,
} from '../../../src/peers/replication/sync-messages.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';
import type { VirtualNode } from '../../support/virtual-network.ts';

const EVER = Number.MAX_SAFE_INTEGER;

let cluster: SimulatedCluster;
let owner: SimulatedNode;
let peer: SimulatedNode;
let mallory: VirtualNode;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 31, size: 3 });
  [owner, peer] = cluster.nodes as [SimulatedNode, SimulatedNode];
  for (const node of cluster.nodes) node.start();
  mallory = cluster.network.join('12D3KooWMallory' as NodeId);
  cluster.write(owner, 'a', Buffer.from('1'));
  await cluster.clock.pass(10_000);
});
afterEach(() => cluster.crashAll());

const known = (): boolean => peer.replicator!.mirror.state(owner.nodeId) !== undefined;

function placeOf({ epoch, incarnation, tick }: Forgotten, publicKey = owner.signing.publicKey): Forgotten {
  return { owner: publicKey, epoch, incarnation, tick };
}

/** What a member tells a node of owners that it gives up. */
async function tell(forgotten: readonly Forgotten[]): Promise<void> {
  const opening = mallory.open(peer.nodeId, SYNC_PROTOCOL, new AbortController().signal);
  await cluster.clock.pass(100);
  const stream = await opening;
  const pull = { kind: 'pull', wants: [], others: false, evidence: [], isInDoubt: false } as const;
  await stream.write(encodeRequest({ ...pull, forgotten }));
  await cluster.clock.pass(100);
  stream.abort(new Error('told'));
}

describe('a node that is told that an owner was given up', () => {
  it('gives it up for no more than was heard of it: it may return', async () => {
    const { newest } = peer.replicator!.mirror.state(owner.nodeId)!;
    owner.crash();
    await cluster.clock.pass(20_000);
    await tell([placeOf({ ...newest, epoch: EVER, incarnation: EVER, tick: EVER })]);
    expect(known()).toBe(false);
    owner.start();
    await cluster.untilEqual(20_000);
    expect(known()).toBe(true);
    await cluster.clock.pass(60_000);
    expect(cluster.differences()).toEqual([]);
  });

  it.each<[string, () => Promise<Forgotten>]>([
    [
      'is there',
      async () => {
        await cluster.clock.pass(1);
        return placeOf({ owner: new Uint8Array(), epoch: EVER, incarnation: EVER, tick: EVER });
      },
    ],
    [
      'has returned since, though it is silent now',
      async () => {
        const before = placeOf(peer.replicator!.mirror.state(owner.nodeId)!.newest);
        owner.crash();
        owner.start();
        await cluster.clock.pass(10_000);
        owner.crash();
        await cluster.clock.pass(20_000);
        return before;
      },
    ],
  ])('keeps one that %s', async (_what, mark) => {
    await tell([await mark()]);
    expect(known()).toBe(true);
    expect(peer.store.forgotten()).toEqual([]);
  });

  it('does not care for one that it has never heard of', async () => {
    const stranger = placeOf(
      { owner: new Uint8Array(), epoch: 1, incarnation: 1, tick: 1 },
      Buffer.alloc(32, 9),
    );
    await tell([stranger]);
    expect(peer.store.forgotten()).toEqual([]);
  });
});

describe('what was given up', () => {
  it('is written down once, however much is told at once', () => {
    const saved: (readonly ForgottenMark[])[] = [];
    const { signing } = owner;
    const owners = new ForgottenOwners([], { signing, save: (marks) => saved.push(marks), nowMs: 0 });
    const marks = [1, 2, 3].map((byte) => ({
      owner: Buffer.alloc(32, byte),
      epoch: 1,
      incarnation: 1,
      tick: 1,
    }));
    expect(owners.add(marks, 0)).toHaveLength(3);
    expect(owners.add(marks, 0)).toEqual([]);
    expect(saved.map(({ length }) => length)).toEqual([3]);
  });
});
