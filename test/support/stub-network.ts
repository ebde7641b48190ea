import type { NodeId } from '../../src/kernel/ids.ts';
import type { PeerNetwork, PeerStream } from '../../src/peers/network.ts';

/** A network of which only who comes and goes matters. */
export class StubNetwork implements PeerNetwork {
  readonly nodeId = '12D3KooWStub' as NodeId;
  readonly #peers = new Set<NodeId>();
  readonly #listeners = new Set<(peer: NodeId, isConnected: boolean) => void>();

  connect(...peers: NodeId[]): void {
    for (const peer of peers) {
      this.#peers.add(peer);
      for (const listener of this.#listeners) listener(peer, true);
    }
  }

  disconnect(peer: NodeId): void {
    this.#peers.delete(peer);
    for (const listener of this.#listeners) listener(peer, false);
  }

  connected(): readonly NodeId[] {
    return [...this.#peers];
  }

  subscribe(listener: (peer: NodeId, isConnected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  publish(): void {
    throw new Error('nobody listens');
  }

  onGossip(): void {
    throw new Error('nobody speaks');
  }

  open(): Promise<PeerStream> {
    throw new Error('nobody answers');
  }

  handle(): void {
    throw new Error('nobody asks');
  }
}
