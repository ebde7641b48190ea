import type { Clock } from '../kernel/clock.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';

/** An image that was there is taken to be there for so long, ms: every connection asks. */
const KNOWN_FOR_MS = 30_000;
/** Images that are remembered. */
const MAX_KNOWN = 256;

export interface KnownImagesDependencies {
  readonly driver: Pick<RuntimeDriver, 'findImage'>;
  readonly clock: Clock;
}

/** Which images this node has. One that was missing is looked for again each time. */
export class KnownImages {
  readonly #deps: KnownImagesDependencies;
  /** When each was seen last, monotonic ms. */
  readonly #seenAtMs = new Map<string, number>();

  constructor(deps: KnownImagesDependencies) {
    this.#deps = deps;
  }

  /** Fails as the engine does, or with the signal's reason. */
  async has(reference: string, signal: AbortSignal): Promise<boolean> {
    const { driver, clock } = this.#deps;
    const seenAtMs = this.#seenAtMs.get(reference);
    if (seenAtMs !== undefined && clock.monotonicMs() - seenAtMs < KNOWN_FOR_MS) return true;
    const isHere = (await driver.findImage(reference, signal)) !== undefined;
    this.#seenAtMs.delete(reference);
    if (!isHere) return false;
    const [oldest] = this.#seenAtMs.keys();
    if (oldest !== undefined && this.#seenAtMs.size >= MAX_KNOWN) this.#seenAtMs.delete(oldest);
    this.#seenAtMs.set(reference, clock.monotonicMs());
    return true;
  }
}
