import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { connected, Libp2pCluster } from './libp2p-harness.ts';

/** The memory of the ciphers has room for 5,100 connections. */
const STRANGERS = 6_000;
const AT_ONCE = 8;

/** Node's types do not tell of it. */
const { WebAssembly: WASM } = globalThis as unknown as {
  WebAssembly: { Memory: { prototype: { grow: (pages: number) => number } } };
};

let cluster: Libp2pCluster;
beforeEach(() => {
  cluster = new Libp2pCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Says what a stranger without the key can say, from an address of its own: of one host only so many are listened to. */
async function come(port: number, index: number): Promise<void> {
  const localAddress = `127.1.${Math.floor(index / 250) % 250}.${1 + (index % 250)}`;
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  socket.on('error', () => undefined);
  socket.end(randomBytes(24 + 64));
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
}

it('thousands of strangers cost the node nothing for good', { timeout: 120_000 }, async () => {
  const grow = vi.spyOn(WASM.Memory.prototype, 'grow');
  const one = await cluster.start();
  const two = await cluster.start({ bootstrap: [one.address] });
  await connected(one, two);
  const port = Number(
    multiaddr(one.address)
      .getComponents()
      .find(({ name }) => name === 'tcp')?.value,
  );
  let next = 0;
  const comeAgain = async (): Promise<void> => {
    while (next < STRANGERS) await come(port, next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, comeAgain));
  expect(one.refused.get('cluster_key')).toBeGreaterThan(STRANGERS * 0.98);
  expect(grow).not.toHaveBeenCalled();
  expect(await one.network.ping(two.network.nodeId, AbortSignal.timeout(5_000))).toBeGreaterThan(0);
});
