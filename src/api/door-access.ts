import type { Access, Peer, Refusal } from './access.ts';
import { Networks } from './address.ts';
import type { RequestHead } from './head.ts';

/**
 * Who may be led to a container. Those clients can send no token, so that networks are named for them, apart from those that may
 * use the API; whoever may use all of that may connect as well.
 */
export class DoorAccess {
  readonly #access: Access;
  readonly #networks: Networks;

  /** Throws a RangeError when one of the networks is none. */
  constructor(options: { readonly networks: readonly string[] }, deps: { readonly access: Access }) {
    this.#access = deps.access;
    this.#networks = new Networks(options.networks);
  }

  /** Undefined for a client that is let in. `address` is the one that it connects from. */
  check(peer: Peer, address: string, head: RequestHead): Refusal | undefined {
    if (head.authorization === undefined && !head.isForwarded && this.#networks.has(address))
      return undefined;
    const caller = this.#access.authenticate(peer, head);
    if ('status' in caller) return named(caller);
    if (caller.scope === 'full') return undefined;
    return { status: 403, reason: 'forbidden', message: 'a token of full scope is needed to connect' };
  }
}

function named(refusal: Refusal): Refusal {
  if (refusal.reason !== 'unauthenticated') return refusal;
  const remedy = 'a client without a token is let in where frontdoor.allowed_networks names its network';
  return { ...refusal, message: `${refusal.message}; ${remedy}` };
}
