import { setTimeout as delay } from 'node:timers/promises';
import type { PeerNetwork } from '../../../src/peers/network.ts';
import { describePeerNetwork } from '../../conformance/peer-network.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, type StartedPeer } from './libp2p-harness.ts';

/** What is under way on loopback has arrived by then, on a busy machine too. */
const QUIET_MS = 500;

describePeerNetwork('libp2p', async () => {
  const cluster = new Libp2pCluster();
  const peers: StartedPeer[] = [];
  return {
    async join() {
      const peer = await cluster.start({ bootstrap: peers.map(({ address }) => address) });
      peers.push(peer);
      return peer.network;
    },
    async leave(network: PeerNetwork) {
      const index = peers.findIndex((peer) => peer.network === network);
      const [peer] = peers.splice(index, 1);
      await peer?.network[Symbol.asyncDispose]();
    },
    settled: (promise) => promise,
    until: async (what, condition) => void (await waitFor(what, 20_000, condition)),
    quiet: () => delay(QUIET_MS),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
});
