import type { Socket } from 'node:net';
import type { Access, Peer } from './access.ts';
import { LOOPBACK } from './address.ts';

/** A connection on which requests arrive. */
export interface Connection {
  readonly socket: Socket;
  readonly peer: Peer;
  /** Requests that were accepted and not answered yet. */
  inFlight: number;
  /** The node stops, and it will be ended a little later than the others that are idle. */
  isLingering: boolean;
}

/** Every open connection, counted per address, so that all of them can be ended. */
export class Connections {
  readonly #maxPerAddress: number;
  readonly #access: Access;
  readonly #bySocket = new Map<Socket, Connection>();
  readonly #countByAddress = new Map<string, number>();
  /** The address that a connection counts for. */
  readonly #countedKeys = new WeakMap<Socket, string>();
  #onEmpty: (() => void) | undefined;

  constructor(options: { readonly maxPerAddress: number }, deps: { readonly access: Access }) {
    this.#maxPerAddress = options.maxPerAddress;
    this.#access = deps.access;
  }

  get size(): number {
    return this.#bySocket.size;
  }

  /** Takes a new connection in, or destroys it and says so when its address has too many. */
  open(socket: Socket): boolean {
    // A reset between two requests is nobody's business; without a listener it would end the process.
    socket.on('error', () => socket.destroy());
    const address = socket.remoteAddress;
    const peer = this.#access.peerOf(address ?? '');
    const count = this.#countByAddress.get(peer.addressKey) ?? 0;
    const isCounted = address !== undefined && !LOOPBACK.has(address);
    if (address === undefined || (isCounted && count >= this.#maxPerAddress)) {
      socket.destroy();
      return false;
    }
    if (isCounted) {
      this.#countByAddress.set(peer.addressKey, count + 1);
      this.#countedKeys.set(socket, peer.addressKey);
    }
    this.#bySocket.set(socket, { socket, peer, inFlight: 0, isLingering: false });
    socket.once('close', () => this.#close(socket));
    return true;
  }

  of(socket: Socket): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  /**
   * Counts a connection for its address no more: one that is led to a container is bounded otherwise, and many of them may come from
   * one machine.
   */
  release(socket: Socket): void {
    const key = this.#countedKeys.get(socket);
    if (key !== undefined) this.#countOut(key);
    this.#countedKeys.delete(socket);
  }

  /** Destroys the connections on which nothing has to be answered, but for those that linger. */
  destroyIdle(): void {
    for (const { socket, inFlight, isLingering } of this.#bySocket.values()) {
      if (inFlight === 0 && !isLingering) socket.destroy();
    }
  }

  destroyAll(): void {
    for (const socket of this.#bySocket.keys()) socket.destroy();
  }

  /** Resolves when the last connection has closed. */
  async whenEmpty(): Promise<void> {
    if (this.#bySocket.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    await promise;
  }

  #close(socket: Socket): void {
    this.#bySocket.delete(socket);
    this.release(socket);
    if (this.#bySocket.size === 0) this.#onEmpty?.();
  }

  #countOut(key: string): void {
    const count = (this.#countByAddress.get(key) ?? 1) - 1;
    if (count === 0) this.#countByAddress.delete(key);
    else this.#countByAddress.set(key, count);
  }
}
