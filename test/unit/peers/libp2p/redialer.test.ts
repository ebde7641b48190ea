import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { Redialer } from '../../../../src/peers/libp2p/redialer.ts';
import { VirtualClock } from '../../../support/virtual-clock.ts';

const A = 'peer-a' as NodeId;
const B = 'peer-b' as NodeId;
const MINUTE_MS = 60_000;

let clock: VirtualClock;
let connected: Set<NodeId>;
let denied: Set<NodeId>;
let dials: { atMs: number; addresses: readonly string[]; peer: NodeId | undefined }[];
/** Who answers at an address; nobody where there is none. */
let answers: Map<string, NodeId>;
let dialMs: number;
let mostConnected: number;
let underWay: number;
let mostUnderWay: number;
let redialer: Redialer;
beforeEach(() => {
  clock = new VirtualClock();
  connected = new Set();
  denied = new Set();
  dials = [];
  answers = new Map();
  dialMs = 10;
  mostConnected = Infinity;
  underWay = 0;
  mostUnderWay = 0;
  const startedMs = clock.monotonicMs();
  redialer = new Redialer({
    clock,
    random: () => 1,
    isConnected: (peer) => connected.has(peer),
    isAllowed: (peer) => !denied.has(peer),
    wantedCount: () => mostConnected - connected.size,
    dial: async (addresses, peer) => {
      dials.push({ atMs: clock.monotonicMs() - startedMs, addresses, peer });
      mostUnderWay = Math.max(mostUnderWay, (underWay += 1));
      await new Promise<void>((resolve) => clock.after(dialMs, resolve));
      underWay -= 1;
      const there = addresses.map((address) => answers.get(address)).find((found) => found !== undefined);
      if (there === undefined || (peer !== undefined && there !== peer)) throw new Error('nobody is there');
      connect(there);
      return there;
    },
  });
});

function connect(peer: NodeId): void {
  connected.add(peer);
  redialer.connected(peer);
}

function disconnect(peer: NodeId): void {
  connected.delete(peer);
  redialer.disconnected(peer);
}

const gaps = (): number[] => dials.slice(1).map(({ atMs }, index) => atMs - (dials[index]?.atMs ?? 0));

describe('a peer that is not there', () => {
  it('is dialled at once, then ever more slowly, at least every second', async () => {
    redialer.addPeer(A, ['/one', '/two']);
    await clock.pass(10_000);
    expect(dials[0]).toEqual({ atMs: 0, addresses: ['/one', '/two'], peer: A });
    expect(gaps().slice(0, 6)).toEqual([110, 210, 410, 810, 1_010, 1_010]);
  });

  it('is dialled every half minute when it has been away for long, and for ever', async () => {
    redialer.addPeer(A, ['/one']);
    await clock.pass(11 * MINUTE_MS);
    const count = dials.length;
    await clock.pass(24 * 60 * MINUTE_MS);
    expect(gaps().at(-1)).toBe(30_010);
    expect(dials.length - count).toBeCloseTo((24 * 60 * MINUTE_MS) / 30_010, -2);
  });

  it('is looked for where it was, before where others say it is', async () => {
    redialer.addPeer(A, ['/known']);
    redialer.addHearsay('introduced', A, ['/hearsay', '/known']);
    redialer.addHearsay('introduced', B, ['/hearsay']);
    redialer.addPeer(A, ['/newer']);
    await clock.pass(1);
    expect(dials.map(({ addresses }) => addresses)).toEqual([['/newer', '/known', '/hearsay'], ['/hearsay']]);
  });

  it('is found when it comes', async () => {
    redialer.addPeer(A, ['/one']);
    await clock.pass(5_000);
    answers.set('/one', A);
    await clock.pass(1_100);
    expect(connected).toEqual(new Set([A]));
    const { length } = dials;
    await clock.pass(MINUTE_MS);
    expect(dials).toHaveLength(length);
  });
});

describe('a peer that goes', () => {
  it('is dialled again within a moment, quickly for a while', async () => {
    answers.set('/one', A);
    redialer.addPeer(A, ['/one']);
    await clock.pass(30 * MINUTE_MS);
    answers.clear();
    dials = [];
    disconnect(A);
    await clock.pass(5_000);
    expect(dials.length).toBeGreaterThan(6);
    expect(Math.max(...gaps())).toBeLessThanOrEqual(1_010);
  });

  it('is not dialled when it came back by itself', async () => {
    redialer.addPeer(A, ['/one']);
    connect(A);
    disconnect(A);
    connect(A);
    await clock.pass(MINUTE_MS);
    expect(dials).toEqual([]);
  });

  it('is not dialled while it is denied, nor once it is forgotten', async () => {
    denied.add(A);
    redialer.addPeer(A, ['/one']);
    await clock.pass(MINUTE_MS);
    expect(dials).toEqual([]);
    denied.clear();
    await clock.pass(1_100);
    expect(dials.length).toBeGreaterThan(0);
    redialer.forget(A);
    await clock.pass(100);
    const { length } = dials;
    await clock.pass(MINUTE_MS);
    expect(dials).toHaveLength(length);
  });
});

describe('an address', () => {
  it('is dialled for whoever is there, who is then dialled by name', async () => {
    answers.set('/one', A);
    redialer.addConfigured(undefined, '/one');
    await clock.pass(100);
    expect(dials).toEqual([{ atMs: 0, addresses: ['/one'], peer: undefined }]);
    redialer.addPeer(A, ['/one']);
    answers.clear();
    disconnect(A);
    await clock.pass(500);
    expect(dials.slice(1).map(({ peer }) => peer)).toEqual([A, A]);
  });

  it('that got a new owner leads to that one', async () => {
    answers.set('/one', A);
    redialer.addConfigured(undefined, '/one');
    await clock.pass(100);
    redialer.addPeer(A, ['/one']);
    answers.set('/one', B);
    disconnect(A);
    await clock.pass(10_000);
    expect(connected).toEqual(new Set([B]));
  });
});

describe('many', () => {
  it('are dialled a few at a time, whoever was there last first', async () => {
    dialMs = 3_000;
    for (let index = 0; index < 40; index++) redialer.addPeer(`old-${index}` as NodeId, ['/gone']);
    await clock.pass(20_000);
    expect(mostUnderWay).toBe(6);
    redialer.addPeer(A, ['/one']);
    connect(A);
    disconnect(A);
    answers.set('/one', A);
    dials = [];
    await clock.pass(2 * dialMs + 200);
    expect(connected.has(A)).toBe(true);
    expect(dials.slice(0, 8).map(({ peer }) => peer)).toContain(A);
  });

  it('are no more than can be kept, and who was met stays', async () => {
    answers.set('/one', A);
    redialer.addPeer(A, ['/one']);
    await clock.pass(100);
    for (let index = 0; index < 5_000; index++) redialer.addPeer(`stranger-${index}` as NodeId, ['/gone']);
    dials = [];
    answers.set('/one', A);
    disconnect(A);
    await clock.pass(1_000);
    expect(connected.has(A)).toBe(true);
    expect(new Set(dials.map(({ peer }) => peer)).size).toBeLessThanOrEqual(1_280);
  });
});

describe('with as many connections as may be', () => {
  it('nobody is dialled until one of them ends', async () => {
    mostConnected = 1;
    answers.set('/one', A).set('/two', B);
    redialer.addPeer(A, ['/one']);
    redialer.addPeer(B, ['/two']);
    await clock.pass(MINUTE_MS);
    expect(dials.map(({ peer }) => peer)).toEqual([A]);
    answers.delete('/one');
    disconnect(A);
    await clock.pass(100);
    expect(connected).toEqual(new Set([B]));
  });
});

describe('who is only heard of', () => {
  /** So many made-up peers, where nobody answers for a whole dial. */
  const invent = (source: 'introduced' | 'found', count: number): void => {
    for (let index = 0; index < count; index++)
      redialer.addHearsay(source, `${source}-${index}` as NodeId, [`/${source}`]);
  };
  const timesDialled = (address: string): number =>
    dials.filter(({ addresses }) => addresses.includes(address)).length;

  it.each(['introduced', 'found'] as const)(
    'never keeps from being dialled, nor puts out, who is configured or known: %s',
    async (source) => {
      dialMs = 3_000;
      redialer.addConfigured(undefined, '/bootstrap');
      redialer.addConfigured(B, '/configured');
      redialer.addPeer(A, ['/known']);
      for (let second = 0; second < 60; second++) {
        for (let index = 0; index < 100; index++)
          redialer.addHearsay(source, `${source}-${second}-${index}` as NodeId, [`/${source}`]);
        await clock.pass(1_000);
      }
      // Each try takes three seconds, and there is at most one between two.
      for (const address of ['/bootstrap', '/configured', '/known'])
        expect(timesDialled(address)).toBeGreaterThanOrEqual(14);
    },
  );

  it('has half of the places for dials at most', async () => {
    dialMs = 3_000;
    invent('found', 50);
    await clock.pass(10_000);
    expect(mostUnderWay).toBe(1);
    invent('introduced', 50);
    await clock.pass(10_000);
    expect(mostUnderWay).toBe(4);
    expect(timesDialled('/found')).toBeGreaterThan(0);
  });

  it('is dialled again only when told of again, after so many failures', async () => {
    invent('found', 1);
    await clock.pass(MINUTE_MS);
    expect(dials).toHaveLength(10);
    invent('found', 1);
    await clock.pass(MINUTE_MS);
    expect(dials).toHaveLength(20);
  });

  it('is dialled for ever once it was connected', async () => {
    redialer.addHearsay('found', A, ['/one']);
    answers.set('/one', A);
    await clock.pass(100);
    redialer.addPeer(A, ['/one']);
    answers.clear();
    disconnect(A);
    dials = [];
    await clock.pass(MINUTE_MS);
    expect(dials.length).toBeGreaterThan(40);
  });

  it('is not kept when it is nobody to be connected with', async () => {
    denied.add(A);
    redialer.addHearsay('introduced', A, ['/one']);
    denied.clear();
    await clock.pass(MINUTE_MS);
    expect(dials).toEqual([]);
  });

  it('is where strangers say only when it is not where it was', async () => {
    redialer.addPeer(A, ['/known']);
    redialer.addHearsay('found', A, ['/found']);
    await clock.pass(10_000);
    expect(timesDialled('/found')).toBe(0);
    redialer.addHearsay('found', A, ['/found']);
    await clock.pass(2_000);
    expect(dials.at(-1)?.addresses).toEqual(['/known', '/found']);
  });
});

it('that is stopped dials nobody', async () => {
  redialer.addPeer(A, ['/one']);
  await clock.pass(50);
  redialer.stop();
  redialer.addPeer(B, ['/two']);
  const { length } = dials;
  await clock.pass(MINUTE_MS);
  expect(dials).toHaveLength(length);
});
