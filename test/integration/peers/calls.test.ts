import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { PeerCalls, type CallHandler } from '../../../src/peers/calls.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, type StartedPeer } from './libp2p-harness.ts';

const NEVER = new AbortController().signal;
const PATIENCE_MS = 20_000;

/** Two nodes on real sockets, of which the first calls the second. */
class CallingPeers implements AsyncDisposable {
  readonly #cluster = new Libp2pCluster();
  #far: StartedPeer | undefined;
  #caller: PeerCalls | undefined;

  static async start(handler: CallHandler): Promise<CallingPeers> {
    const peers = new CallingPeers();
    const near = await peers.#cluster.start({ bootstrap: [] });
    const far = await peers.#cluster.start({ bootstrap: [near.address] });
    const deps = { clock: systemClock, logger: SILENT_LOGGER, onInvariantError: () => undefined };
    peers.#far = far;
    peers.#caller = new PeerCalls({ ...deps, network: near.network });
    new PeerCalls({ ...deps, network: far.network }).serve(handler);
    await waitFor('the connection', PATIENCE_MS, () => near.network.connected().length === 1);
    return peers;
  }

  call(request = 'x', signal = NEVER): AsyncGenerator<Uint8Array> {
    const { nodeId } = (this.#far as StartedPeer).network;
    return (this.#caller as PeerCalls).call(nodeId, Buffer.from(request), signal);
  }

  async stopFar(): Promise<void> {
    await (this.#far as StartedPeer).network[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cluster[Symbol.asyncDispose]();
  }
}

describe('calls over libp2p', () => {
  it('bring large answers whole and in order', async () => {
    const sent = createHash('sha256');
    await using peers = await CallingPeers.start(async function* () {
      for (let count = 0; count < 200; count += 1) {
        await Promise.resolve();
        const piece = Buffer.alloc(1 + ((count * 7_919) % 300_000), count);
        sent.update(piece);
        yield piece;
      }
    });
    const received = createHash('sha256');
    for await (const piece of peers.call()) received.update(piece);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });

  it('let a slow reader hold up the other side, and go on when it reads', async () => {
    let made = 0;
    await using peers = await CallingPeers.start(async function* () {
      for (; made < 500; made += 1) {
        await Promise.resolve();
        yield Buffer.alloc(64 * 1024);
      }
    });
    const pieces = peers.call();
    await pieces.next();
    let ahead = -1;
    await waitFor('the other side to be held up', PATIENCE_MS, async () => {
      if (ahead === made) return true;
      ahead = made;
      await delay(200);
      return false;
    });
    expect(made).toBeLessThan(100);
    let read = 1;
    for await (const _piece of pieces) read += 1;
    expect(read).toBe(500);
  });

  it('end there when the caller leaves, and here when the other node goes', async () => {
    const left = Promise.withResolvers<void>();
    await using peers = await CallingPeers.start(async function* (request, _from, signal) {
      signal.addEventListener('abort', () => left.resolve(), { once: true });
      yield request;
      await new Promise(() => undefined);
    });
    const leave = new AbortController();
    const leaving = peers.call('a', leave.signal);
    await leaving.next();
    const rest = leaving.next();
    leave.abort(new Error('enough'));
    await expect(rest).rejects.toThrow('enough');
    await left.promise;

    const staying = peers.call('b');
    await staying.next();
    const broken = staying.next();
    broken.catch(() => undefined);
    await peers.stopFar();
    await expect(broken).rejects.toMatchObject({ code: 'peer_unreachable' });
  });

  it('go many at once, and one after the other without end', async () => {
    await using peers = await CallingPeers.start(async function* (request) {
      await Promise.resolve();
      yield request;
    });
    const one = async (text: string): Promise<string> => {
      let answer = '';
      for await (const piece of peers.call(text)) answer += Buffer.from(piece).toString();
      return answer;
    };
    const texts = Array.from({ length: 24 }, (_, index) => `call ${index}`);
    expect(await Promise.all(texts.map(one))).toEqual(texts);
    for (let count = 0; count < 200; count += 1) expect(await one(`${count}`)).toBe(`${count}`);
  });
});
