import { describe, expect, it } from 'vitest';
import { ClusterPeers } from '../../../src/api/cluster-peers.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

const GONE = '12D3KooWGone' as NodeId;

function peersWith(outcome: 'forgotten' | 'unknown' | 'still heard', hasAddress: boolean) {
  const done: string[] = [];
  const peers = new ClusterPeers(
    { node_id: '12D3KooWSelf', cluster_id: 'c', name: 'self' },
    {
      links: {
        addresses: () => [],
        peers: () => [],
        ping: () => Promise.resolve(0),
        allow: () => undefined,
        deny: () => undefined,
        forget: () => (done.push('addresses'), hasAddress),
      },
      records: { owners: () => [], forget: () => (done.push('records'), outcome) },
      placements: { forget: async () => void done.push('placements') },
      clock: new SteppedClock(),
    },
  );
  return { peers, done };
}

describe('a node that is forgotten', () => {
  it.each([
    ['forgotten', false, true],
    ['unknown', true, true],
    ['unknown', false, false],
  ] as const)(
    'was known where anything of it was: jobs %s, address %s',
    async (outcome, hasAddress, wasKnown) => {
      const { peers, done } = peersWith(outcome, hasAddress);
      expect(await peers.forget(GONE)).toBe(wasKnown);
      expect(done).toEqual(['records', 'addresses', 'placements']);
    },
  );

  it('is left as it is while it is heard', async () => {
    const { peers, done } = peersWith('still heard', true);
    await expect(peers.forget(GONE)).rejects.toMatchObject({ code: 'peer_alive' });
    expect(done).toEqual(['records']);
  });
});
