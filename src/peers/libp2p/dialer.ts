import type { Connection } from '@libp2p/interface';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { resolved } from './addresses.ts';
import { RESOLVE_LIMIT_MS } from './limits.ts';

export interface DialerDependencies {
  readonly clock: Clock;
  /** Connects with whoever is at one of the addresses. */
  readonly dial: (addresses: Multiaddr[]) => Promise<Connection>;
  /** Resolves when the connection is admitted; rejects when it ends before. */
  readonly admission: (connection: Connection) => Promise<void>;
  readonly isConnected: (peer: NodeId) => boolean;
  /** The addresses that a multiaddr stands for now. */
  readonly resolve?: (address: string) => Promise<string[]>;
}

/** Connects with a peer by its addresses, or with whoever is there. */
export class Dialer {
  readonly #deps: DialerDependencies;
  /** Addresses that are dialled for whoever is there, and who was found there that is connected already. */
  readonly #seeking = new Map<string, NodeId | undefined>();

  constructor(deps: DialerDependencies) {
    this.#deps = deps;
  }

  /** Resolves with who answered, once it is admitted. Without a `peer` that is whoever is there. */
  async dial(addresses: readonly string[], peer: NodeId | undefined): Promise<NodeId> {
    if (peer === undefined) return await this.#dialWhoever(addresses);
    return await this.#connect(addresses.map((address) => `${address}/p2p/${peer}`));
  }

  /** The dial of an address is ended, since it has led to a peer that is connected already. */
  foundAgain(peer: NodeId, address: string): void {
    if (this.#seeking.has(address)) this.#seeking.set(address, peer);
  }

  /** Resolves also with who was connected before: from then on the address is known to be theirs, and left to them. */
  async #dialWhoever(names: readonly string[]): Promise<NodeId> {
    const addresses = await this.#resolved(names);
    for (const address of addresses) this.#seeking.set(address, undefined);
    try {
      return await this.#connect(addresses);
    } catch (error) {
      const found = addresses.map((address) => this.#seeking.get(address));
      const connected = found.find((peer) => peer !== undefined && this.#deps.isConnected(peer));
      if (connected === undefined) throw error;
      return connected;
    } finally {
      for (const address of addresses) this.#seeking.delete(address);
    }
  }

  /** The system may look for a name for half a minute; meanwhile the dial holds a place that others wait for. */
  async #resolved(names: readonly string[]): Promise<string[]> {
    const { clock, resolve = resolved } = this.#deps;
    using limited = new LinkedSignal([], { clock, limitMs: RESOLVE_LIMIT_MS });
    return (await abortable(Promise.all(names.map(resolve)), limited.signal)).flat();
  }

  async #connect(addresses: readonly string[]): Promise<NodeId> {
    const connection = await this.#deps.dial(addresses.map((address) => multiaddr(address)));
    await this.#deps.admission(connection);
    return connection.remotePeer.toString() as NodeId;
  }
}
