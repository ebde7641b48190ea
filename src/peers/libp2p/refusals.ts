import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Each reason with the line that is logged for it. */
export const REFUSALS = {
  cluster_key: 'refused: the other side has another cluster key, or is no node at all',
  handshake: 'refused: the connection ended before the other side said who it is',
  not_allowed: 'refused: the peer is not on the list of those allowed',
  not_ed25519: 'refused: the peer has a key of a kind that no node has',
  protocol_version: 'refused: the peer does not speak our version of the protocol',
  limit: 'refused: too many connections',
} as const;
export type RefusalReason = keyof typeof REFUSALS;

/** The same host is logged again for the same reason after so long. */
const QUIET_MS = 60_000;
/** Hosts and reasons that are remembered for it. */
const MAX_REMEMBERED = 1024;

export interface RefusalsDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly count: (reason: RefusalReason) => void;
}

/** Counts every refusal, and logs the first of a host in a while. */
export class Refusals {
  readonly #deps: RefusalsDependencies;
  readonly #loggedAtMs = new Map<string, number>();

  constructor(deps: RefusalsDependencies) {
    this.#deps = deps;
  }

  /** `address` is the multiaddr of the other side; its port changes from try to try. */
  refused(reason: RefusalReason, address: string, facts: object = {}): void {
    this.#deps.count(reason);
    const key = `${reason} ${address.split('/').slice(0, 3).join('/')}`;
    if (this.#wasLogged(key)) return;
    // Whoever only looks whether the port is open is no news.
    const level = reason === 'handshake' ? 'debug' : 'warn';
    this.#deps.logger[level]({ reason, address, ...facts }, REFUSALS[reason]);
  }

  #wasLogged(key: string): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    const loggedAtMs = this.#loggedAtMs.get(key);
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < QUIET_MS) return true;
    if (this.#loggedAtMs.size >= MAX_REMEMBERED) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(key, nowMs);
    return false;
  }
}
