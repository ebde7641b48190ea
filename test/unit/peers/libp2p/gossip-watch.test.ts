import { expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { GossipWatch } from '../../../../src/peers/libp2p/gossip-watch.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

it('a peer that gossip does not reach for a while is told of, again and again, and nobody else', async () => {
  const clock = new SteppedClock();
  const peers = ['a', 'b'] as NodeId[];
  const unreached = new Set<NodeId>();
  const told: NodeId[] = [];
  const watch = new GossipWatch({
    clock,
    connected: () => peers,
    canReach: (peer) => !unreached.has(peer),
    onUnreached: (peer) => told.push(peer),
  });
  await clock.advance(60_000);
  expect(told).toEqual([]);
  unreached.add('b' as NodeId);
  await clock.advance(8_000);
  unreached.delete('b' as NodeId);
  await clock.advance(2_000);
  unreached.add('b' as NodeId);
  await clock.advance(9_000);
  expect(told).toEqual([]);
  await clock.advance(3_000);
  expect(told).toEqual(['b']);
  await clock.advance(12_000);
  expect(told).toEqual(['b', 'b']);
  watch[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});
