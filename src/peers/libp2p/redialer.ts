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

/**
 * How we know of somebody, the surest first. Who is known more surely is dialled before others, and never makes room for them;
 * none of them takes all places for dials, since those that are not there any more hold them longest, and hearsay has half of them.
 */
const SOURCES = {
  /** The operator's word. There are as many as are configured. */
  configured: { maxTargets: Infinity, maxDials: 6, maxAttempts: Infinity },
  /** It was connected once. */
  known: { maxTargets: MAX_BOOK_PEERS, maxDials: 6, maxAttempts: Infinity },
  /** A member's word, which it gives again. As many as one of them tells of at once. */
  introduced: { maxTargets: 128, maxDials: 3, maxAttempts: 30 },
  /** Anybody's word on the local network, which it gives every ten seconds. */
  found: { maxTargets: 64, maxDials: 1, maxAttempts: 10 },
} as const;
type Source = keyof typeof SOURCES;
const RANKS = Object.keys(SOURCES) as Source[];

export interface RedialerDependencies {
  readonly clock: Clock;
  /** Resolves with who answered once it is admitted, rejects when that comes to nothing. */
  readonly dial: (addresses: readonly string[], peer: NodeId | undefined) => Promise<NodeId>;
  readonly isConnected: (peer: NodeId) => boolean;
  /** Whether the peer may be connected with. */
  readonly isAllowed: (peer: NodeId) => boolean;
  /** How many more connections are wanted, whoever they are with. */
  readonly wantedCount: () => number;
  readonly random?: () => number;
}

/** Somebody to be connected with: a peer with its addresses, or an address with whoever is there. */
interface Target {
  readonly key: string;
  source: Source;
  peer: NodeId | undefined;
  addresses: readonly string[];
  /** When it was last connected, or first heard of. */
  awaySinceMs: number;
  /** Since this node runs. Such a one is the likeliest to be there. */
  hasBeenMet: boolean;
  attempts: number;
  state: 'resting' | 'due' | 'dialling';
  timer: Disposable | undefined;
}

/** Dials everybody who is known and not connected, for ever, and who is only heard of for a while. */
export class Redialer {
  readonly #deps: RedialerDependencies;
  readonly #targets = new Map<string, Target>();
  /** Those whose time has come. */
  readonly #due = new Set<Target>();
  readonly #dialling = new Set<Target>();
  #isStopped = false;

  constructor(deps: RedialerDependencies) {
    this.#deps = deps;
  }

  /** Where the operator says that somebody is: the peer, or whoever it may be. */
  addConfigured(peer: NodeId | undefined, address: string): void {
    if (peer !== undefined) return this.#add('configured', peer, (known) => [address, ...known]);
    const target = this.#targets.get(address) ?? this.#make('configured', address, undefined);
    target.addresses = [address];
    this.#schedule(target, 0);
  }

  /** A peer that was found at these addresses. Those known stay, behind them. */
  addPeer(peer: NodeId, addresses: readonly string[]): void {
    this.#add('known', peer, (known) => [...addresses, ...known]);
  }

  /** A peer that others say is there. What is known of it is tried before. */
  addHearsay(source: 'introduced' | 'found', peer: NodeId, addresses: readonly string[]): void {
    if (!this.#deps.isAllowed(peer) || (source === 'found' && this.#isExpected(peer))) return;
    this.#add(source, peer, (known) => [...known, ...addresses]);
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
    // Others may have waited for its place.
    this.#dialNext();
  }

  stop(): void {
    this.#isStopped = true;
    for (const target of this.#targets.values()) this.#rest(target);
  }

  #add(source: Source, peer: NodeId, merge: (known: readonly string[]) => string[]): void {
    const known = this.#targets.get(peer);
    const target = known ?? this.#make(source, peer, peer);
    if (isSurer(source, target.source)) target.source = source;
    target.addresses = [...new Set(merge(target.addresses))].slice(0, MAX_BOOK_ADDRESSES);
    // One that is known has its next try already.
    if (known === undefined) this.#schedule(target, 0);
  }

  /** Whether it is not in doubt where the peer is: what a stranger says would only make the search longer. */
  #isExpected(peer: NodeId): boolean {
    const target = this.#targets.get(peer);
    return target !== undefined && target.source !== 'found' && target.attempts < DOUBTFUL_ATTEMPTS;
  }

  #targetsOf(peer: NodeId): Target[] {
    return [...this.#targets.values()].filter((target) => target.peer === peer);
  }

  #make(source: Source, key: string, peer: NodeId | undefined): Target {
    this.#makeRoom(source);
    const target: Target = {
      key,
      source,
      peer,
      addresses: [],
      awaySinceMs: this.#deps.clock.monotonicMs(),
      hasBeenMet: false,
      attempts: 0,
      state: 'resting',
      timer: undefined,
    };
    this.#targets.set(key, target);
    return target;
  }

  /** Whoever comes makes room among its like: for who was told of first and never met, or else was told of first. */
  #makeRoom(source: Source): void {
    const alike = [...this.#targets.values()].filter((target) => target.source === source);
    if (alike.length < SOURCES[source].maxTargets) return;
    const dropped = alike.find(({ hasBeenMet }) => !hasBeenMet) ?? alike[0];
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
    if (this.#deps.isConnected(peer) || !this.#deps.isAllowed(peer)) return false;
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
      this.#due.add(target);
      this.#dialNext();
    });
  }

  #rest(target: Target): void {
    target.timer?.[Symbol.dispose]();
    target.timer = undefined;
    if (target.state !== 'due') return;
    target.state = 'resting';
    this.#due.delete(target);
  }

  #dialNext(): void {
    while (this.#dialling.size < Math.min(MAX_PARALLEL_DIALS, this.#deps.wantedCount())) {
      const target = this.#nextDue();
      if (target === undefined) return;
      this.#due.delete(target);
      this.#dialling.add(target);
      target.state = 'dialling';
      void this.#dial(target).finally(() => {
        this.#dialling.delete(target);
        target.state = 'resting';
        this.#next(target);
        this.#dialNext();
      });
    }
  }

  #nextDue(): Target | undefined {
    const underWay = Map.groupBy(this.#dialling, ({ source }) => source);
    let first: Target | undefined;
    for (const target of this.#due) {
      if ((underWay.get(target.source)?.length ?? 0) >= SOURCES[target.source].maxDials) continue;
      if (first === undefined || isBefore(target, first)) first = target;
    }
    return first;
  }

  async #dial(target: Target): Promise<void> {
    if (!this.#isNeeded(target)) return;
    // An address is dialled for whoever is there; that it was somebody else before is no matter.
    const peer = target.key === target.peer ? target.peer : undefined;
    try {
      target.peer = await this.#deps.dial(target.addresses, peer);
      target.hasBeenMet = true;
    } catch {
      // Tried again; why a peer cannot be reached is told where it is refused.
    }
  }

  #next(target: Target): void {
    const { peer, source } = target;
    if (this.#isStopped || (peer !== undefined && this.#deps.isConnected(peer))) return;
    if (this.#targets.get(target.key) !== target) return;
    target.attempts += 1;
    if (target.attempts >= SOURCES[source].maxAttempts) this.#drop(target);
    else this.#schedule(target, this.#pauseMs(target));
  }
}

function isSurer(one: Source, other: Source): boolean {
  return RANKS.indexOf(one) < RANKS.indexOf(other);
}

/** Who was met before who was not, then who is known more surely, then who was there last. */
function isBefore(one: Target, other: Target): boolean {
  if (one.hasBeenMet !== other.hasBeenMet) return one.hasBeenMet;
  if (one.source !== other.source) return isSurer(one.source, other.source);
  return one.awaySinceMs > other.awaySinceMs;
}
