import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { boundMs } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, type StartedPeer } from './libp2p-harness.ts';
import { RawPeer } from './raw-peer.ts';

const PATIENCE_MS = 30_000;
/** 10 s of silence, a second between two checks, and 7 s for the answer to a ping. */
const FOUND_DEAD_MS = boundMs(20_000);
const RECONNECT_MS = boundMs(3_000);
/** A process that is killed has its sockets closed by the system; no ping finds it that soon. */
const KILLED_MS = boundMs(2_000);

/** A node, and whoever is to meet it. */
class Scene implements AsyncDisposable {
  readonly cluster = new Libp2pCluster();
  readonly #children: ChildProcess[] = [];

  /** A peer in a process of its own. */
  async startChild(...args: string[]): Promise<ChildProcess> {
    const key = Buffer.from(this.cluster.clusterKey).toString('hex');
    const child = spawn(
      process.execPath,
      [new URL('libp2p-process.ts', import.meta.url).pathname, '--key', key, ...args],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#children.push(child);
    await once(createInterface(child.stdout), 'line');
    return child;
  }

  startRaw(node: StartedPeer): Promise<RawPeer> {
    const { cluster } = this;
    return RawPeer.start(node, { identity: cluster.identity(), clusterKey: cluster.clusterKey });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.cluster[Symbol.asyncDispose]();
  }
}

// They wait for most of their time.
describe.concurrent('a peer in another process', () => {
  it('that is paused is found dead, and is connected again and heard once it goes on', async () => {
    await using scene = new Scene();
    const node = await scene.cluster.start();
    const child = await scene.startChild('--bootstrap', node.address);
    let heardAtMs = 0;
    node.network.onGossip(() => {
      heardAtMs = performance.now();
      return 'accept';
    });
    await waitFor('its gossip', PATIENCE_MS, () => heardAtMs > 0);
    // From then on it is not asked for anything, as long as it gossips.
    await waitFor('its first ping', PATIENCE_MS, () => node.network.peers()[0]?.rttMs !== undefined);
    child.kill('SIGSTOP');
    await waitFor('it to be found dead', FOUND_DEAD_MS, () => node.network.connected().length === 0);
    const continuedMs = performance.now();
    child.kill('SIGCONT');
    await waitFor('its return', RECONNECT_MS, () => node.network.connected().length === 1);
    await waitFor('its gossip again', PATIENCE_MS, () => heardAtMs > continuedMs);
  });

  it('that is killed is gone at once', async () => {
    await using scene = new Scene();
    const node = await scene.cluster.start();
    const child = await scene.startChild('--bootstrap', node.address);
    await waitFor('the connection', PATIENCE_MS, () => node.network.connected().length === 1);
    child.kill('SIGKILL');
    await waitFor('its end', KILLED_MS, () => node.network.connected().length === 0);
  });
});

describe.concurrent('a peer whose stream of gossip is gone', () => {
  it('is connected anew, since it would hear nothing more', async () => {
    await using scene = new Scene();
    const node = await scene.cluster.start();
    await using raw = await scene.startRaw(node);
    const connection = await raw.dial(node);
    const streams = () => connection.streams.filter(({ protocol }) => protocol.startsWith('/meshsub/'));
    await waitFor('gossip', PATIENCE_MS, () => streams().some(({ direction }) => direction === 'inbound'));
    for (const stream of streams()) if (stream.direction === 'inbound') stream.abort(new Error('too slow'));
    await waitFor('the end of the connection', PATIENCE_MS, () => connection.status !== 'open');
    await waitFor('another', PATIENCE_MS, () => node.network.connected().length === 1);
    await waitFor('its gossip', PATIENCE_MS, () =>
      raw.host
        .getConnections()
        .some(({ streams: all }) =>
          all.some(({ protocol, direction }) => protocol.startsWith('/meshsub/') && direction === 'inbound'),
        ),
    );
  });
});

describe.concurrent('a peer that resets the stream of gossip as it is opened', () => {
  it('is connected anew too, although nothing told of the end of the stream', async () => {
    await using scene = new Scene();
    const node = await scene.cluster.start();
    await using raw = await scene.startRaw(node);
    await raw.resetGossip();
    const connection = await raw.dial(node);
    await waitFor('the end of the connection', PATIENCE_MS, () => connection.status !== 'open');
  });
});

describe.concurrent('on the local network', () => {
  it('nodes of one cluster find each other, and nobody else', async () => {
    await using scene = new Scene();
    const searching = await scene.cluster.start({ mdns: true, listenAddress: '0.0.0.0' });
    const stranger = await scene.cluster.start({
      mdns: true,
      listenAddress: '0.0.0.0',
      clusterId: 'fedcba9876543210',
    });
    await scene.startChild('--mdns');
    await waitFor(
      'the two to find each other',
      PATIENCE_MS,
      () => searching.network.connected().length === 1,
    );
    expect(stranger.network.connected()).toEqual([]);
    expect(stranger.refused.size).toBe(0);
  });
});
