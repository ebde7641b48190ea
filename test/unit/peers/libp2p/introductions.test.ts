import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { peerIdOf } from '../../../../src/peers/identity.ts';
import { decodeIntroductions } from '../../../../src/peers/libp2p/introductions.ts';

function newPeer(): string {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  return peerIdOf(Buffer.from(x ?? '', 'base64url'));
}
const decode = (value: unknown) => decodeIntroductions(Buffer.from(JSON.stringify(value)));

describe('introductions', () => {
  const peer = newPeer();

  it('tell of peers and where they are', () => {
    const peers = [
      { peer, addresses: ['/ip4/10.0.0.1/tcp/4001', '/dns4/a.example/tcp/1', '/ip6/::1/tcp/2'] },
      { peer: newPeer(), addresses: ['/ip4/10.0.0.2/tcp/4001'] },
    ];
    expect(decode({ peers })).toEqual(peers);
    expect(decode({ peers: [], more: 'from a newer node' })).toEqual([]);
  });

  it.each([
    ['who is no peer', { peer: 'somebody', addresses: ['/ip4/10.0.0.1/tcp/1'] }],
    ['without addresses', { peer }],
    [
      'with none that can be dialled',
      { peer, addresses: ['/unix/docker.sock', '/ip4/10.0.0.1/udp/1', 'x', 7, null] },
    ],
    ['through somebody else', { peer, addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${peer}/p2p-circuit`] }],
    ['who is nothing', null],
  ])('leave out one %s', (_what, introduced) => {
    const good = { peer, addresses: ['/ip4/10.0.0.1/tcp/1'] };
    expect(decode({ peers: [introduced, good] })).toEqual([good]);
  });

  it('are so many, of so many addresses each', () => {
    const addresses = Array.from({ length: 100 }, (_, index) => `/ip4/10.0.0.1/tcp/${index + 1}`);
    const decoded = decode({ peers: Array.from({ length: 1_000 }, () => ({ peer, addresses })) });
    expect(decoded).toHaveLength(128);
    expect(decoded[0]?.addresses).toHaveLength(8);
  });

  it('give nothing but peers, or fail, whatever comes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.record({ peers: fc.jsonValue() })), (value) => {
        try {
          for (const one of decode(value)) expect(one.addresses.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
    expect(() => decodeIntroductions(Buffer.from('{'))).toThrow();
    expect(() => decode({})).toThrow('without peers');
  });
});
