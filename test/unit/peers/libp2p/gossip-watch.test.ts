import { expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { GossipWatch } from '../../../../src/peers/libp2p/gossip-watch.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

function watched() {
  const clock = new SteppedClock();
  const peers = new Set(['a', 'b'] as NodeId[]);
  const unreached = new Set<NodeId>();
  const told: NodeId[] = [];
  const watch = new GossipWatch({
    clock,
    connected: () => [...peers],
    canReach: (peer) => !unreached.has(peer),
    onUnreached: (peer) => told.push(peer),
  });
  return { clock, peers, unreached, told, watch };
}

const B = 'b' as NodeId;

it('a peer that gossip has never reached is told of after a while, again and again, and nobody else', async () => {
  const { clock, unreached, told, watch } = watched();
  unreached.add(B);
  await clock.advance(10_000);
  expect(told).toEqual([]);
  await clock.advance(2_000);
  expect(told).toEqual([B]);
  await clock.advance(12_000);
  expect(told).toEqual([B, B]);
  watch[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});

it('a peer that gossip reaches no more is told of soon, and not when it does again', async () => {
  const { clock, unreached, told, watch } = watched();
  await clock.advance(60_000);
  unreached.add(B);
  await clock.advance(2_000);
  unreached.delete(B);
  await clock.advance(10_000);
  expect(told).toEqual([]);
  unreached.add(B);
  await clock.advance(4_000);
  expect(told).toEqual([B]);
  watch[Symbol.dispose]();
});

it('a peer that has gone and come back is one that was never reached', async () => {
  const { clock, peers, unreached, told, watch } = watched();
  await clock.advance(5_000);
  peers.delete(B);
  await clock.advance(2_000);
  unreached.add(B);
  peers.add(B);
  await clock.advance(9_000);
  expect(told).toEqual([]);
  await clock.advance(3_000);
  expect(told).toEqual([B]);
  watch[Symbol.dispose]();
});
