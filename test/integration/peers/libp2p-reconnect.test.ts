import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { FilePeerBook } from '../../../src/peers/file-peer-book.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { freePort } from '../../support/free-port.ts';
import { boundMs } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, type StartedPeer } from './libp2p-harness.ts';

const PATIENCE_MS = 20_000;
/** From the moment that both are up: at most the longest pause between two dials, and what a busy machine needs. */
const RECONNECT_MS = boundMs(1_500);
const STOPPED_MS = boundMs(1_000);

let cluster: Libp2pCluster;
beforeEach(() => {
  cluster = new Libp2pCluster();
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

const isMet = (peers: readonly StartedPeer[]): boolean =>
  peers.every(({ network }) => network.connected().length === peers.length - 1);
const met = (peers: readonly StartedPeer[], limitMs = PATIENCE_MS): Promise<number> =>
  waitFor('all to be connected', limitMs, () => isMet(peers));
const leave = (peer: StartedPeer): Promise<void> => peer.network[Symbol.asyncDispose]();
/** The same node again, at the same address, told of nobody. */
const again = ({ options, network, book }: StartedPeer): Promise<StartedPeer> =>
  cluster.start({ ...options, port: network.port, bootstrap: [] }, { book });

describe('a node that restarts', () => {
  it('is who it was, and is found by those that stayed', async () => {
    const [a, b] = await cluster.startPair();
    await leave(b);
    await waitFor('its end', PATIENCE_MS, () => a.network.connected().length === 0);
    const back = await cluster.start({ ...b.options, port: b.network.port, bootstrap: [] });
    expect(back.network.nodeId).toBe(b.network.nodeId);
    expect(await met([a, back])).toBeLessThan(RECONNECT_MS);
  });

  it('finds the others through its book, as do they, when all have restarted', async () => {
    const [a, b] = await cluster.startPair();
    await Promise.all([leave(a), leave(b)]);
    const backs = await Promise.all([again(a), again(b)]);
    expect(await met(backs)).toBeLessThan(RECONNECT_MS);
  });

  it('finds them with what is on its disk alone', async () => {
    const file = join(cluster.directory, 'peers.json');
    const deps = { clock: systemClock, logger: SILENT_LOGGER };
    const book = FilePeerBook.open(file, deps);
    const a = await cluster.start();
    const b = await cluster.start({ bootstrap: [a.address] }, { book });
    await met([a, b]);
    await leave(b);
    await book[Symbol.asyncDispose]();
    await using reopened = FilePeerBook.open(file, deps);
    expect(reopened.entries()).toMatchObject([{ peer: a.network.nodeId }]);
    // At another port: only it can find the others now.
    const back = await cluster.start({ ...b.options, port: 0, bootstrap: [] }, { book: reopened });
    expect(await met([a, back])).toBeLessThan(RECONNECT_MS);
  });

  it('begins a new book when the old one is broken', async () => {
    const file = join(cluster.directory, 'broken.json');
    writeFileSync(file, '{"version":1,"peers":[{');
    await using book = FilePeerBook.open(file, { clock: systemClock, logger: SILENT_LOGGER });
    expect(book.entries()).toEqual([]);
  });
});

describe('nodes that dial each other', () => {
  it('at once end up with one connection, of which each was told once', async () => {
    for (let round = 0; round < 10; round++) {
      const first = await cluster.start();
      const second = await cluster.start();
      await Promise.all([leave(first), leave(second)]);
      const [a, b] = await Promise.all([
        cluster.start({ ...first.options, port: first.network.port, bootstrap: [second.address] }),
        cluster.start({ ...second.options, port: second.network.port, bootstrap: [first.address] }),
      ]);
      const heard: string[] = [];
      for (const { network } of [a, b])
        network.subscribe((_peer, isConnected) => heard.push(`${network.nodeId} ${isConnected}`));
      await met([a, b]);
      await delay(300);
      expect(isMet([a, b])).toBe(true);
      expect(heard.length).toBeLessThanOrEqual(2);
      expect([a, b].map(({ network }) => network.peers().length)).toEqual([1, 1]);
      const [one, other] = [a, b].map(({ network }) => network.peers()[0]?.direction);
      expect([one, other].toSorted()).toEqual(['inbound', 'outbound']);
      await Promise.all([leave(a), leave(b)]);
    }
  });

  it('by addresses without an id stay connected once they are', async () => {
    const [here, there] = [await freePort(), await freePort()];
    const bare = (port: number): string => `/dns4/localhost/tcp/${port}`;
    const [a, b] = await Promise.all([
      cluster.start({ port: here, bootstrap: [bare(there)] }),
      cluster.start({ port: there, bootstrap: [bare(here)] }),
    ]);
    await met([a, b]);
    await delay(300);
    const heard: boolean[] = [];
    for (const { network } of [a, b]) network.subscribe((_peer, isConnected) => heard.push(isConnected));
    // By then a dial from elsewhere would count as that of a peer that has lost the connection.
    await delay(8_000);
    expect(heard).toEqual([]);
  });

  it('are all connected soon, ten on one machine', async () => {
    const first = await cluster.start();
    const peers = [first];
    for (let count = 1; count < 10; count++) peers.push(await cluster.start());
    for (const peer of peers) await leave(peer);
    const addresses = peers.map(({ address }) => address);
    const backs = await Promise.all(
      peers.map(({ options, network }) =>
        cluster.start({ ...options, port: network.port, bootstrap: addresses }),
      ),
    );
    await met(backs);
    expect(backs.map(({ refused }) => refused.get('limit') ?? 0)).toEqual(backs.map(() => 0));
    // And stay so.
    await delay(1_000);
    expect(isMet(backs)).toBe(true);
  });
});

describe('nodes that all know the same one', () => {
  it('meet each other, and hear each other when it has gone', async () => {
    const first = await cluster.start();
    const others = await Promise.all(
      Array.from({ length: 5 }, () => cluster.start({ bootstrap: [first.address] })),
    );
    await met([first, ...others]);
    await leave(first);
    await waitFor('its end', PATIENCE_MS, () => isMet(others));
    const heard = new Set<StartedPeer>();
    for (const peer of others)
      peer.network.onGossip(() => {
        heard.add(peer);
        return 'accept';
      });
    await waitFor('all to hear', PATIENCE_MS, () => {
      for (const { network } of others)
        network.publish(Buffer.from(`${performance.now()} ${network.nodeId}`));
      return heard.size === others.length;
    });
  });
});

describe('nodes that may have few connections', () => {
  it('let each other in all the same, and hear those they are not connected with', async () => {
    const peers: StartedPeer[] = [];
    for (let count = 0; count < 6; count++) {
      const peer = await cluster.start({ maxConnections: 3, bootstrap: peers.map(({ address }) => address) });
      peers.push(peer);
      await waitFor('a connection', PATIENCE_MS, () => count === 0 || peer.network.connected().length > 0);
    }
    const heard = new Set<string>();
    for (const { network } of peers)
      network.onGossip((message) => {
        heard.add(`${network.nodeId} of ${Buffer.from(message).toString().split(' ')[0]}`);
        return 'accept';
      });
    await waitFor('all to hear all others', PATIENCE_MS, () => {
      for (const { network } of peers) network.publish(Buffer.from(`${network.nodeId} ${performance.now()}`));
      return heard.size === peers.length * (peers.length - 1);
    });
    for (const { network } of peers) expect(network.connected().length).toBeLessThanOrEqual(3);
  });
});

describe('a bootstrap address', () => {
  it('needs no peer id', async () => {
    const a = await cluster.start();
    const b = await cluster.start({ bootstrap: [a.address.replace(/\/p2p\/.*/, '')] });
    await met([a, b]);
  });

  it('may come up later', async () => {
    const a = await cluster.start();
    await leave(a);
    const b = await cluster.start({ bootstrap: [a.address] });
    await delay(1_000);
    const back = await cluster.start({ ...a.options, port: a.network.port });
    expect(await met([back, b])).toBeLessThan(RECONNECT_MS);
  });

  it('that is no multiaddr is refused', async () => {
    await expect(cluster.start({ bootstrap: ['somewhere:4001'] })).rejects.toThrow();
  });
});

describe('a node', () => {
  it('measures the way to a peer, and tells of nobody who is not there', async () => {
    const [a, b] = await cluster.startPair();
    const { signal } = new AbortController();
    const rtts = await Promise.all([1, 2, 3, 4, 5].map(() => a.network.ping(b.network.nodeId, signal)));
    for (const rttMs of rtts) expect(rttMs).toBeGreaterThan(0);
    expect(a.network.peers()).toMatchObject([
      { peer: b.network.nodeId, rttMs: expect.any(Number) as number },
    ]);
    await leave(b);
    await waitFor('its end', PATIENCE_MS, () => a.network.connected().length === 0);
    await expect(a.network.ping(b.network.nodeId, signal)).rejects.toMatchObject({
      code: 'peer_unreachable',
    });
    expect(a.network.peers()).toEqual([]);
  });

  it('listens under a name, and tells what it announces in place of where it listens', async () => {
    const a = await cluster.start({ listenAddress: 'localhost', announce: ['/dns4/node.example/tcp/4001'] });
    expect(a.network.port).toBeGreaterThan(0);
    expect(a.network.addresses()).toEqual([`/dns4/node.example/tcp/4001/p2p/${a.network.nodeId}`]);
  });

  it('stops soon, twice as once, and leaves nothing open', async () => {
    const [a, b] = await cluster.startPair();
    const handles = (): number =>
      process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
    const before = handles();
    const startedMs = performance.now();
    await Promise.all([leave(a), leave(a), leave(b)]);
    expect(performance.now() - startedMs).toBeLessThan(STOPPED_MS);
    await waitFor('its sockets to be closed', PATIENCE_MS, () => handles() <= before - 4);
    a.network.publish(Buffer.from('to nobody'));
  });
});
