import type { Connection } from '@libp2p/interface';
import { expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { Dialer } from '../../../../src/peers/libp2p/dialer.ts';
import { RESOLVE_LIMIT_MS } from '../../../../src/peers/libp2p/limits.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

const A = 'peer-a' as NodeId;

function setUp(resolve: (address: string) => Promise<string[]>) {
  const clock = new SteppedClock();
  const dialled: string[][] = [];
  const connected = new Set<NodeId>();
  const dialer = new Dialer({
    clock,
    resolve,
    isConnected: (peer) => connected.has(peer),
    admission: () => Promise.resolve(),
    dial: (addresses) => {
      dialled.push(addresses.map(String));
      // What the gate says when it finds that the peer is connected already, which ends the dial.
      for (const peer of connected) dialer.foundAgain(peer, String(addresses[0]));
      if (connected.size > 0) return Promise.reject(new Error('denied'));
      return Promise.resolve({ remotePeer: A } as unknown as Connection);
    },
  });
  return { clock, dialer, dialled, connected };
}

it('an address is dialled for whoever is there, at what its name stands for now', async () => {
  const { dialer, dialled } = setUp(() => Promise.resolve(['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/1']));
  expect(await dialer.dial(['/dns4/a.example/tcp/1'], undefined)).toBe(A);
  expect(dialled).toEqual([['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/1']]);
});

it('a dial ends when nobody says what a name stands for', async () => {
  const { clock, dialer, dialled } = setUp(() => new Promise(() => undefined));
  const dial = expect(dialer.dial(['/dns4/a.example/tcp/1'], undefined)).rejects.toThrow('the time is over');
  await clock.advance(RESOLVE_LIMIT_MS);
  await dial;
  expect(dialled).toEqual([]);
});

it('a dial that finds somebody who is connected has found them', async () => {
  const { dialer, connected } = setUp((address) => Promise.resolve([address]));
  connected.add(A);
  expect(await dialer.dial(['/ip4/10.0.0.1/tcp/1'], undefined)).toBe(A);
});
