import { backoffMs } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { MAX_BOOK_ADDRESSES, MAX_BOOK_PEERS } from '../peer-book.ts';
import { MAX_PARALLEL_DIALS } from './limits.ts';

/** Between tries of a peer that was there not long ago: whoever restarts is found again within a second. */
const QUICK = { firstMs: 100, capMs: 1_000 } as const;
/** Of one that has been away for longer than `LONG_AWAY_MS`. */
const SLOW = { firstMs: 100, capMs: 30_000 } as const;
const LONG_AWAY_MS = 10 * 60_000;
/** After so many failures an address may have a new owner, and is dialled for whoever is there. */
const DOUBTFUL_ATTEMPTS = 5;
/** Peers and addresses that are dialled for; beyond it the one that was told of first, and never met, is dropped. */
const MAX_TARGETS = MAX_BOOK_PEERS + 256;

export interface RedialerDependencies {
  readonly clock: Clock;
  /** Resolves with who answered once it is admitted, rejects when that comes to nothing. */
  readonly dial: (addresses: readonly string[], peer: NodeId | undefined) => Promise<NodeId>;
  readonly isConnected: (peer: NodeId) => boolean;
  /** Whether to dial the peer at all. */
  readonly isWanted: (peer: NodeId) => boolean;
  readonly random?: () => number;
}

/** Somebody to be connected with: a peer with its addresses, or an address with whoever is there. */
interface Target {
  readonly key: string;
  peer: NodeId | undefined;
  addresses: readonly string[];
  /** When it was last connected, or first heard of. */
  awaySinceMs: number;
  hasBeenMet: boolean;
  attempts: number;
  state: 'resting' | 'due' | 'dialling';
  timer: Disposable | undefined;
}

/** Dials everybody who is known and not connected, for ever. */
export class Redialer {
  readonly #deps: RedialerDependencies;
  readonly #targets = new Map<string, Target>();
  /** Those whose time has come: who was met before who was only heard of, and who was there last first. */
  readonly #due: Target[] = [];
  #dialling = 0;
  #isStopped = false;

  constructor(deps: RedialerDependencies) {
    this.#deps = deps;
  }

  /** A peer that is to be found at these addresses. Those known stay, behind them. */
  addPeer(peer: NodeId, addresses: readonly string[]): void {
    this.#add(peer, (known) => [...addresses, ...known]);
  }

  /** A peer that others say is there. What is known of it is tried before. */
  addHearsay(peer: NodeId, addresses: readonly string[]): void {
    this.#add(peer, (known) => [...known, ...addresses]);
  }

  /** An address where some peer is. */
  addAddress(address: string): void {
    const target = this.#targets.get(address) ?? this.#make(address, undefined);
    target.addresses = [address];
    this.#schedule(target, 0);
  }

  forget(peer: NodeId): void {
    const target = this.#targets.get(peer);
    if (target !== undefined) this.#drop(target);
  }

  connected(peer: NodeId): void {
    for (const target of this.#targetsOf(peer)) {
      target.hasBeenMet = true;
      target.attempts = 0;
      this.#rest(target);
    }
  }

  disconnected(peer: NodeId): void {
    for (const target of this.#targetsOf(peer)) {
      target.awaySinceMs = this.#deps.clock.monotonicMs();
      target.attempts = 1;
      this.#schedule(target, this.#pauseMs(target));
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const target of this.#targets.values()) this.#rest(target);
  }

  #add(peer: NodeId, merge: (known: readonly string[]) => string[]): void {
    const known = this.#targets.get(peer);
    const target = known ?? this.#make(peer, peer);
    target.addresses = [...new Set(merge(target.addresses))].slice(0, MAX_BOOK_ADDRESSES);
    // One that is known has its next try already.
    if (known === undefined) this.#schedule(target, 0);
  }

  #targetsOf(peer: NodeId): Target[] {
    return [...this.#targets.values()].filter((target) => target.peer === peer);
  }

  #make(key: string, peer: NodeId | undefined): Target {
    const awaySinceMs = this.#deps.clock.monotonicMs();
    const target: Target = {
      key,
      peer,
      addresses: [],
      awaySinceMs,
      hasBeenMet: false,
      attempts: 0,
      state: 'resting',
      timer: undefined,
    };
    if (this.#targets.size >= MAX_TARGETS) this.#dropOne();
    this.#targets.set(key, target);
    return target;
  }

  #dropOne(): void {
    const targets = [...this.#targets.values()];
    const dropped = targets.find(({ hasBeenMet }) => !hasBeenMet) ?? targets[0];
    if (dropped !== undefined) this.#drop(dropped);
  }

  #drop(target: Target): void {
    this.#rest(target);
    this.#targets.delete(target.key);
  }

  /** Whether there is somebody to be dialled. An address is left to its peer, as long as that may still be there. */
  #isNeeded(target: Target): boolean {
    const { peer } = target;
    if (this.#isStopped || this.#targets.get(target.key) !== target) return false;
    if (peer === undefined) return true;
    if (this.#deps.isConnected(peer) || !this.#deps.isWanted(peer)) return false;
    const own = this.#targets.get(peer);
    return own === target || own === undefined || own.attempts >= DOUBTFUL_ATTEMPTS;
  }

  #pauseMs({ attempts, awaySinceMs }: Target): number {
    const isLongAway = this.#deps.clock.monotonicMs() - awaySinceMs > LONG_AWAY_MS;
    return backoffMs(isLongAway ? SLOW : QUICK, attempts, this.#deps.random);
  }

  #schedule(target: Target, delayMs: number): void {
    if (target.state !== 'resting' || this.#isStopped) return;
    target.timer?.[Symbol.dispose]();
    target.timer = this.#deps.clock.after(delayMs, () => {
      target.timer = undefined;
      if (target.peer !== undefined && this.#deps.isConnected(target.peer)) return;
      target.state = 'due';
      this.#due.push(target);
      this.#due.sort((a, b) => Number(b.hasBeenMet) - Number(a.hasBeenMet) || b.awaySinceMs - a.awaySinceMs);
      this.#dialNext();
    });
  }

  #rest(target: Target): void {
    target.timer?.[Symbol.dispose]();
    target.timer = undefined;
    if (target.state !== 'due') return;
    target.state = 'resting';
    this.#due.splice(this.#due.indexOf(target), 1);
  }

  #dialNext(): void {
    while (this.#dialling < MAX_PARALLEL_DIALS) {
      const target = this.#due.shift();
      if (target === undefined) return;
      this.#dialling += 1;
      target.state = 'dialling';
      void this.#dial(target).finally(() => {
        this.#dialling -= 1;
        target.state = 'resting';
        this.#next(target);
        this.#dialNext();
      });
    }
  }

  async #dial(target: Target): Promise<void> {
    if (!this.#isNeeded(target)) return;
    // An address is dialled for whoever is there; that it was somebody else before is no matter.
    const peer = target.key === target.peer ? target.peer : undefined;
    try {
      target.peer = await this.#deps.dial(target.addresses, peer);
      target.hasBeenMet = true;
    } catch {
      // Tried again, for ever; why a peer cannot be reached is told where it is refused.
    }
  }

  #next(target: Target): void {
    const { peer } = target;
    if (this.#isStopped || (peer !== undefined && this.#deps.isConnected(peer))) return;
    if (this.#targets.get(target.key) !== target) return;
    target.attempts += 1;
    this.#schedule(target, this.#pauseMs(target));
  }
}
