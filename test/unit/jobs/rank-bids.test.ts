import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankBids, type Bid } from '../../../src/jobs/placement/rank-bids.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';

const FREE: Bid = { hasImage: false, depth: 0, hasRoom: true, isDraining: false, isHeld: false };

function ranked(bids: Record<string, Partial<Bid>>): NodeId[] {
  return rankBids(new Map(Object.entries(bids).map(([node, bid]) => [node as NodeId, { ...FREE, ...bid }])));
}

describe('the best node for a job', () => {
  it('has the image, then the shortest queue, then the lowest id', () => {
    expect(ranked({ C: {}, B: { depth: 9, hasImage: true }, A: { depth: 1 } })).toEqual(['B', 'C', 'A']);
    expect(ranked({ C: { hasImage: true }, A: { hasImage: true }, B: { hasImage: true } })).toEqual([
      'A',
      'B',
      'C',
    ]);
  });

  it('begins with it at once where any does', () => {
    expect(ranked({ A: { isHeld: true, hasImage: true }, B: { depth: 50 } })).toEqual(['B', 'A']);
  });

  it('is none that has no room or drains', () => {
    expect(ranked({ A: { hasRoom: false }, B: { isDraining: true }, C: { isHeld: true } })).toEqual(['C']);
    expect(ranked({})).toEqual([]);
  });

  it('is the same for everybody, in whatever order the bids came', () => {
    const bid = fc.record({
      hasImage: fc.boolean(),
      depth: fc.nat(3),
      hasRoom: fc.boolean(),
      isDraining: fc.boolean(),
      isHeld: fc.boolean(),
    });
    const bids = fc.uniqueArray(fc.tuple(fc.constantFrom('A', 'B', 'C', 'D', 'E'), bid), {
      selector: ([node]) => node,
    });
    fc.assert(
      fc.property(bids, (entries) => {
        const nodes = ranked(Object.fromEntries(entries));
        expect(ranked(Object.fromEntries([...entries].reverse()))).toEqual(nodes);
        expect(nodes).toHaveLength(
          entries.filter(([, { hasRoom, isDraining }]) => hasRoom && !isDraining).length,
        );
      }),
    );
  });
});
