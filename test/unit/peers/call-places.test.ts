import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import {
  CallPlaces,
  MAX_CALLS,
  MAX_CALLS_PER_PEER,
  MAX_LONG_CALLS,
  MAX_LONG_CALLS_PER_PEER,
} from '../../../src/peers/call-places.ts';

const A = 'A' as NodeId;

function take(places: CallPlaces, count: number, isLong: boolean, peer = A): (Disposable | undefined)[] {
  return Array.from({ length: count }, () => places.take(peer, isLong));
}

describe('places for calls', () => {
  it('keep some of a peer from calls that may take minutes', () => {
    const places = new CallPlaces();
    const long = take(places, MAX_LONG_CALLS_PER_PEER, true);
    expect(long).not.toContain(undefined);
    expect(places.take(A, true)).toBeUndefined();
    const short = take(places, MAX_CALLS_PER_PEER - MAX_LONG_CALLS_PER_PEER, false);
    expect(short).not.toContain(undefined);
    expect(places.take(A)).toBeUndefined();
    long[0]?.[Symbol.dispose]();
    expect(places.take(A, true)).toBeDefined();
  });

  it('are bounded for all peers together', () => {
    const places = new CallPlaces();
    const peers = Array.from({ length: 20 }, (_, index) => `P${index}` as NodeId);
    const taken = peers.flatMap((peer) => take(places, MAX_LONG_CALLS_PER_PEER, true, peer));
    expect(taken.filter((place) => place !== undefined)).toHaveLength(MAX_LONG_CALLS);
    const short = peers.flatMap((peer) => take(places, MAX_CALLS_PER_PEER, false, peer));
    expect(places.count).toBe(MAX_CALLS);
    for (const place of [...taken, ...short]) place?.[Symbol.dispose]();
    expect(places.count).toBe(0);
  });
});
