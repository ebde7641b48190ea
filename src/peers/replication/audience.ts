import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { PeerNetwork } from '../network.ts';
import type { Mirror } from './mirror.ts';
import { SILENT_MS } from './silence.ts';

export interface AudienceDependencies {
  readonly network: PeerNetwork;
  readonly mirror: Mirror;
  readonly clock: Clock;
}

/** How old the count of those that are there may be, ms; whoever comes or goes meanwhile is counted at once. */
const COUNT_MS = 1_000;

/**
 * Knows whether a message still has to be passed on. In a cluster in which everybody is connected with everybody, its writer has
 * told all of them, and every copy that is passed on costs both sides for nothing.
 */
export class Audience implements Disposable {
  readonly #deps: AudienceDependencies;
  readonly #subscription: Disposable;
  #count = 0;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: AudienceDependencies) {
    this.#deps = deps;
    this.#subscription = deps.network.subscribe(() => (this.#countedAtMs = Number.NEGATIVE_INFINITY));
  }

  /** Whether a writer that told `listeners` peers, this one among them, has told everybody that is known here. */
  isWhole(listeners: number): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#countedAtMs >= COUNT_MS) {
      this.#count = this.#countOthers(nowMs);
      this.#countedAtMs = nowMs;
    }
    // The others without the writer, and this node: as many as the others.
    return listeners >= this.#count;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #countOthers(nowMs: number): number {
    const { network, mirror } = this.#deps;
    const others = new Set<NodeId>(network.connected());
    for (const { owner, heardAtMs } of mirror.owners()) if (nowMs - heardAtMs < SILENT_MS) others.add(owner);
    return others.size;
  }
}
