import { PeerError } from '../peers/errors.ts';
import type { PeersView } from './ports.ts';
import type { IdentityView } from './wire.ts';

/** The view of a node that takes no part in a cluster. */
export class NoPeers implements PeersView {
  readonly #identity: IdentityView;

  constructor(identity: Omit<IdentityView, 'addresses'>) {
    this.#identity = { ...identity, addresses: [] };
  }

  identity(): IdentityView {
    return this.#identity;
  }

  list(): [] {
    return [];
  }

  ping(): Promise<number> {
    return Promise.reject(disabled());
  }

  allow(): void {
    throw disabled();
  }

  deny(): void {
    throw disabled();
  }

  forget(): Promise<boolean> {
    return Promise.reject(disabled());
  }
}

function disabled(): PeerError {
  return new PeerError('peers_disabled', 'this node takes no part in a cluster: peers.enabled is false');
}
