import type { Multiaddr } from '@multiformats/multiaddr';
import { messageOf } from '../../kernel/errors.ts';
import type { RefusalReason } from './refusals.ts';
import { refusalOf, type UpgradeWatch } from './watched-upgrades.ts';

/** What is known of the port that is listened on, and of connections that come to nothing, which are told of as refused. */
export class UpgradeRecord implements UpgradeWatch {
  readonly #onRefused: (reason: RefusalReason, address: string, facts: object) => void;
  /** Addresses of those that have proved to hold the key, while their connection is being made. */
  readonly #reached = new Set<string>();
  #port = 0;
  #listenError: Error | undefined;

  constructor(onRefused: (reason: RefusalReason, address: string, facts: object) => void) {
    this.#onRefused = onRefused;
  }

  /** The port that is listened on; 0 as long as there is none. */
  get port(): number {
    return this.#port;
  }

  /** Why no port is listened on, with the system's code. */
  get listenError(): Error | undefined {
    return this.#listenError;
  }

  onReached(address: string): void {
    this.#reached.add(address);
  }

  onFailed(address: string, error: Error): void {
    const reason = refusalOf(error, this.#reached.has(address));
    if (reason !== undefined) this.#onRefused(reason, address, { detail: messageOf(error) });
  }

  onEnded(address: string): void {
    this.#reached.delete(address);
  }

  onListening([address]: readonly Multiaddr[]): void {
    this.#port = Number(/\/tcp\/(\d{1,5})/.exec(String(address))?.[1] ?? 0);
  }

  onListenError(error: Error): void {
    this.#listenError ??= error;
  }
}
