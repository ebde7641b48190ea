import {
  serviceCapabilities,
  transportSymbol,
  type Connection,
  type ConnectionEncrypter,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type MessageStream,
  type MultiaddrConnection,
  type SecureConnectionOptions,
  type SecuredConnection,
  type Transport,
  type Upgrader,
} from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { RefusalReason } from './refusals.ts';

export interface UpgradeWatch {
  /** The other side held our private network's key. */
  onReached(address: string): void;
  /** A connection came to nothing. */
  onFailed(address: string, error: Error): void;
  /** It is made, or has failed. */
  onEnded(address: string): void;
  onListening(addresses: readonly Multiaddr[]): void;
  onListenError(error: Error): void;
}

/** libp2p tells nobody why a connection did not come about: what it is made of is watched from outside. */
export class WatchedTransport implements Transport {
  readonly [transportSymbol] = true;
  readonly [Symbol.toStringTag] = 'watched-tcp';
  readonly [serviceCapabilities]: string[] = ['@libp2p/transport'];
  readonly #transport: Transport;
  readonly #watch: UpgradeWatch;

  constructor(transport: Transport, watch: UpgradeWatch) {
    this.#transport = transport;
    this.#watch = watch;
  }

  dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    return this.#transport.dial(address, { ...options, upgrader: this.#watched(options.upgrader) });
  }

  createListener(options: CreateListenerOptions): Listener {
    const listener = this.#transport.createListener({
      ...options,
      upgrader: this.#watched(options.upgrader),
    });
    const listen = listener.listen.bind(listener);
    // libp2p makes one text of all that went wrong, and drops the system's code.
    listener.listen = async (address) => {
      try {
        await listen(address);
        this.#watch.onListening(listener.getAddrs());
      } catch (error) {
        this.#watch.onListenError(error as Error);
        throw error;
      }
    };
    return listener;
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.#transport.listenFilter(addresses);
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.#transport.dialFilter(addresses);
  }

  #watched(upgrader: Upgrader): Upgrader {
    const watched = async <T>(connection: MultiaddrConnection, upgrade: () => Promise<T>): Promise<T> => {
      try {
        return await upgrade();
      } catch (error) {
        this.#watch.onFailed(connection.remoteAddr.toString(), error as Error);
        throw error;
      } finally {
        this.#watch.onEnded(connection.remoteAddr.toString());
      }
    };
    return {
      upgradeInbound: (connection, options) =>
        watched(connection, () => upgrader.upgradeInbound(connection, options)),
      upgradeOutbound: (connection, options) =>
        watched(connection, () => upgrader.upgradeOutbound(connection, options)),
      createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
      getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
      getStreamMuxers: () => upgrader.getStreamMuxers(),
    };
  }
}

/** Whoever gets as far as to prove its identity has the cluster's key. */
export class WatchedEncrypter implements ConnectionEncrypter {
  readonly protocol: string;
  readonly #encrypter: ConnectionEncrypter;
  readonly #watch: UpgradeWatch;

  constructor(encrypter: ConnectionEncrypter, watch: UpgradeWatch) {
    this.protocol = encrypter.protocol;
    this.#encrypter = encrypter;
    this.#watch = watch;
  }

  secureInbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    this.#reached(connection);
    return this.#encrypter.secureInbound(connection, options);
  }

  secureOutbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    this.#reached(connection);
    return this.#encrypter.secureOutbound(connection, options);
  }

  #reached(connection: MessageStream): void {
    const { remoteAddr } = connection as MultiaddrConnection;
    this.#watch.onReached(remoteAddr.toString());
  }
}

/** What to say of a connection that came to nothing; nothing of what the gate has said already. */
export function refusalOf(error: Error, hasReached: boolean): RefusalReason | undefined {
  switch (error.name) {
    case 'ConnectionDeniedError':
      return 'limit';
    case 'ConnectionInterceptedError':
    case 'InvalidPeerIdError':
      return undefined;
    case 'EncryptionFailedError':
      return hasReached ? 'handshake' : 'cluster_key';
    default:
      return 'handshake';
  }
}
