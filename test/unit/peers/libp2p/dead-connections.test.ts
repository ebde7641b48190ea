import type { Connection } from '@libp2p/interface';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { abortable } from '../../../../src/kernel/single-flight.ts';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { DeadConnections } from '../../../../src/peers/libp2p/dead-connections.ts';
import { PING_LIMIT_MS } from '../../../../src/peers/libp2p/limits.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

const PEER = 'peer' as NodeId;
const BEACON_MS = 5_000;
/** A peer counts as lost by then. */
const FOUND_DEAD_MS = 20_000;

/** A connection that answers for as long as somebody is there. */
class FakeConnection {
  isAlive = true;
  refuses = false;
  pings = 0;
  abortedAtMs: number | undefined;
}

let clock: SteppedClock;
let open: FakeConnection[];
let heardMs: number | undefined;
let watch: DeadConnections;
beforeEach(() => {
  clock = new SteppedClock();
  open = [new FakeConnection()];
  heardMs = undefined;
  watch = new DeadConnections({
    clock,
    connected: () => (open.length === 0 ? [] : [PEER]),
    connectionsOf: () => open.map(asConnection),
    heardAtMs: () => heardMs,
    ping: (connection, signal) => {
      const fake = connection as unknown as FakeConnection;
      fake.pings += 1;
      if (fake.refuses) return Promise.reject(new Error('too many'));
      return abortable(fake.isAlive ? Promise.resolve(1) : new Promise<number>(() => undefined), signal);
    },
  });
});
afterEach(() => {
  watch[Symbol.dispose]();
});

function asConnection(fake: FakeConnection): Connection {
  return Object.assign(fake, {
    abort: () => {
      fake.abortedAtMs ??= clock.monotonicMs();
      open = open.filter((other) => other !== fake);
    },
  }) as unknown as Connection;
}

/** Time passes while the peer gossips. */
async function gossip(durationMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += BEACON_MS) {
    heardMs = clock.monotonicMs();
    await clock.advance(BEACON_MS);
  }
}

describe('a connection', () => {
  it('is measured at once, and then hardly ever pinged while the peer gossips', async () => {
    const [connection] = open as [FakeConnection];
    await gossip(5_000);
    expect(connection.pings).toBe(1);
    await gossip(10 * 60_000);
    expect(connection.pings).toBe(3);
  });

  it('of a peer that never gossips is pinged, and stays as long as it answers', async () => {
    const [connection] = open as [FakeConnection];
    await clock.advance(10 * 60_000);
    expect(connection.pings).toBeGreaterThan(50);
    expect(connection.abortedAtMs).toBeUndefined();
  });

  it('of a peer that has no place for a ping stays', async () => {
    const [connection] = open as [FakeConnection];
    connection.refuses = true;
    await clock.advance(60_000);
    expect(connection.pings).toBeGreaterThan(4);
    expect(connection.abortedAtMs).toBeUndefined();
  });

  it('that is doubted is asked at once, and has to be answered on soon', async () => {
    const dead = new FakeConnection();
    dead.isAlive = false;
    const [alive] = open as [FakeConnection];
    open.push(dead);
    watch.doubt(open.map(asConnection));
    await clock.advance(1_500);
    expect(dead.abortedAtMs).toBeLessThanOrEqual(1_000);
    expect(alive.abortedAtMs).toBeUndefined();
  });

  it.each([
    ['gossiped', BEACON_MS],
    ['never gossiped', undefined],
  ])('of a peer that %s is found dead in time', async (_what, gossipMs) => {
    const [connection] = open as [FakeConnection];
    if (gossipMs === undefined) await clock.advance(60_500);
    else await gossip(60_000);
    connection.isAlive = false;
    const diedMs = clock.monotonicMs();
    await clock.advance(FOUND_DEAD_MS);
    expect((connection.abortedAtMs ?? Infinity) - diedMs).toBeLessThan(FOUND_DEAD_MS);
    expect((connection.abortedAtMs ?? 0) - diedMs).toBeGreaterThan(PING_LIMIT_MS);
  });

  it('that is dead is found beside another one by which the peer gossips', async () => {
    const dead = new FakeConnection();
    dead.isAlive = false;
    open.push(dead);
    await gossip(FOUND_DEAD_MS);
    expect(dead.abortedAtMs).toBeLessThan(FOUND_DEAD_MS);
    expect(open).toHaveLength(1);
    expect(open[0]?.abortedAtMs).toBeUndefined();
  });
});

it('a watch that is stopped leaves no timer behind', async () => {
  (open[0] as FakeConnection).isAlive = false;
  await clock.advance(2_000);
  watch[Symbol.dispose]();
  await clock.advance(0);
  expect(clock.pending).toBe(0);
  expect(open[0]?.abortedAtMs).toBeUndefined();
});
