import { randomBytes } from 'node:crypto';
import { multiaddr } from '@multiformats/multiaddr';
import { describe, expect, it } from 'vitest';
import {
  addressesOfPeer,
  isPlain,
  listenMultiaddr,
  reachable,
  splitAddress,
} from '../../../../src/peers/libp2p/addresses.ts';
import { clusterPsk } from '../../../../src/peers/libp2p/cluster-psk.ts';
import { Refusals, type RefusalReason } from '../../../../src/peers/libp2p/refusals.ts';
import { TokenBucket } from '../../../../src/peers/libp2p/token-bucket.ts';
import { refusalOf } from '../../../../src/peers/libp2p/watched-upgrades.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

describe('the key of the private network', () => {
  it('follows from the key of the cluster, and does not show it', () => {
    const key = Buffer.alloc(32, 7);
    const text = Buffer.from(clusterPsk(key)).toString();
    expect(text).toMatch(/^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}$/);
    expect(text).not.toContain(key.toString('hex'));
    // Nodes of other versions must come to the same.
    expect(text.split('\n')[2]).toBe('f7f59ceb9a5cc431f117994e0e2bf8d6d25924dfecef7e620f14a7e33ea2554c');
    expect(clusterPsk(key)).toEqual(clusterPsk(key));
    expect(clusterPsk(randomBytes(32))).not.toEqual(clusterPsk(key));
  });

  it.each([0, 16, 31, 33, 64])('cannot be had from %i bytes', (length) => {
    expect(() => clusterPsk(new Uint8Array(length))).toThrow('no private network');
  });
});

describe('a token bucket', () => {
  it('lets a burst pass, and then so much per second', async () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, clock);
    const taken = (): number => Array.from({ length: 20 }, () => bucket.take(1)).filter(Boolean).length;
    expect(taken()).toBe(5);
    await clock.advance(300);
    expect(taken()).toBe(3);
    await clock.advance(60_000);
    expect(taken()).toBe(5);
  });

  it('that is in debt lets nothing pass until it is paid', async () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ perSecond: 1, burst: 5 }, clock);
    bucket.charge(7);
    expect(bucket.take(0)).toBe(false);
    await clock.advance(2_000);
    expect([bucket.take(0), bucket.take(1)]).toEqual([true, false]);
  });

  it('takes nothing when there is not enough', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 5 }, new SteppedClock());
    expect([bucket.take(6), bucket.take(5), bucket.take(1)]).toEqual([false, true, false]);
  });
});

describe('refusals', () => {
  const setUp = () => {
    const lines: { reason: string; address: string; level: number }[] = [];
    const counted: RefusalReason[] = [];
    const clock = new SteppedClock();
    const write = (line: string): void => void lines.push(JSON.parse(line) as (typeof lines)[number]);
    const refusals = new Refusals({
      clock,
      logger: createLogger({ level: 'debug', destination: { write } }),
      count: (reason) => counted.push(reason),
    });
    return { lines, counted, clock, refusals };
  };

  it('are all counted, and logged once a minute for each host and reason', async () => {
    const { lines, counted, clock, refusals } = setUp();
    for (let port = 1; port <= 100; port++) refusals.refused('cluster_key', `/ip4/10.0.0.1/tcp/${port}`);
    refusals.refused('cluster_key', '/ip4/10.0.0.2/tcp/1');
    refusals.refused('not_allowed', '/ip4/10.0.0.1/tcp/1');
    expect(counted).toHaveLength(102);
    expect(lines.map(({ reason, address }) => `${reason} ${address}`)).toEqual([
      'cluster_key /ip4/10.0.0.1/tcp/1',
      'cluster_key /ip4/10.0.0.2/tcp/1',
      'not_allowed /ip4/10.0.0.1/tcp/1',
    ]);
    await clock.advance(59_999);
    refusals.refused('cluster_key', '/ip4/10.0.0.1/tcp/1');
    expect(lines).toHaveLength(3);
    await clock.advance(1);
    refusals.refused('cluster_key', '/ip4/10.0.0.1/tcp/1');
    expect(lines).toHaveLength(4);
  });

  it.each<[string, boolean, RefusalReason | undefined]>([
    ['ConnectionDeniedError', false, 'limit'],
    ['ConnectionInterceptedError', true, undefined],
    ['InvalidPeerIdError', true, undefined],
    ['EncryptionFailedError', false, 'cluster_key'],
    ['EncryptionFailedError', true, 'handshake'],
    ['UnexpectedEOFError', false, 'handshake'],
  ])('are told apart: %s, with the key shown: %s', (name, hasReached, reason) => {
    expect(refusalOf(Object.assign(new Error('x'), { name }), hasReached)).toBe(reason);
  });
});

describe('addresses', () => {
  const P2P = '/p2p/12D3KooWKFWTQaWZb3xHfcCVtGKMFQXXiKP3JYPZsLZUaGz3DWv4';

  it('to listen on are made from what is configured', async () => {
    expect(await listenMultiaddr('0.0.0.0', 4001)).toBe('/ip4/0.0.0.0/tcp/4001');
    expect(await listenMultiaddr('::1', 0)).toBe('/ip6/::1/tcp/0');
    expect(await listenMultiaddr('localhost', 1)).toMatch(/^\/ip(?:4\/127\.0\.0\.1|6\/::1)\/tcp\/1$/);
  });

  it('to be told to others leave loopback out, unless there is nothing else', () => {
    const loopback = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1'];
    const linkLocal = ['/ip6/fe80::1/tcp/1', '/ip4/169.254.0.9/tcp/1'];
    expect(reachable([...loopback, ...linkLocal, '/ip4/10.0.0.1/tcp/1'])).toEqual(['/ip4/10.0.0.1/tcp/1']);
    expect(reachable([...loopback, ...linkLocal])).toEqual(loopback);
  });

  it('of a peer are where it was dialled, then what it tells and can be used from here', () => {
    const told = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/1', '/ip4/172.17.0.1/tcp/1'].map((text) =>
      multiaddr(text),
    );
    const remote = multiaddr(`/ip4/10.0.0.2/tcp/1${P2P}`);
    const far = ['/ip4/10.0.0.2/tcp/1', '/ip4/172.17.0.1/tcp/1'];
    expect(addressesOfPeer(remote, remote, told)).toEqual(far);
    expect(addressesOfPeer(undefined, multiaddr('/ip4/10.0.0.2/tcp/50000'), told)).toEqual(far);
    expect(addressesOfPeer(undefined, multiaddr('/ip4/127.0.0.1/tcp/50000'), told)).toHaveLength(3);
  });

  it.each([
    ['/ip4/10.0.0.1/tcp/1', true],
    ['/ip6/::1/tcp/1', true],
    ['/dns4/a.example/tcp/1', false],
    ['/ip4/10.0.0.1/tcp/1/ws', false],
    ['/ip4/10.0.0.1/udp/1', false],
  ])('are plain, or not: %s', (address, isIt) => {
    expect(isPlain(address)).toBe(isIt);
  });

  it('are split into peer and address', () => {
    const [peer] = P2P.split('/').slice(-1);
    expect(splitAddress(`/dns4/a.example/tcp/1${P2P}`)).toEqual({ peer, address: '/dns4/a.example/tcp/1' });
    expect(splitAddress('/ip4/10.0.0.1/tcp/1')).toEqual({ peer: undefined, address: '/ip4/10.0.0.1/tcp/1' });
    expect(() => splitAddress('10.0.0.1:4001')).toThrow();
  });
});
