import { backoffMs } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { PeerNetwork } from '../network.ts';

/** What is asked of a peer: its own log, or all that it knows. */
export type PullScope = 'own' | 'all';

export interface PullsDependencies {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly random: () => number;
  /** Asks one peer once. */
  readonly pull: (peer: NodeId, scope: PullScope, signal: AbortSignal) => Promise<void>;
  readonly isBehind: (owner: NodeId) => boolean;
  readonly onFailure: (peer: NodeId, error: unknown) => void;
}

/** Peers that are asked at once. */
const MAX_ACTIVE = 4;
/** Between two rounds, in which one peer is asked for everything, ms. */
const ROUND_MIN_MS = 15_000;
const ROUND_SPREAD_MS = 15_000;
/** After the first connection, so that most others are there and are asked for their own logs first, ms. */
const FIRST_ROUND_MS = 1_500;
/** A gap may be two messages that overtook each other, ms. */
const GAP_DELAY_MS = 40;
const RETRY_BACKOFF = { firstMs: 250, capMs: 15_000 };

interface PeerWork {
  scope: PullScope | undefined;
  isActive: boolean;
  /** How often it failed in a row. */
  failures: number;
  retry: Disposable | undefined;
}

/** Decides whom to ask for what is missing, and when: on connect, on a gap, and now and then without any reason. */
export class Pulls implements AsyncDisposable {
  readonly #deps: PullsDependencies;
  readonly #work = new Map<NodeId, PeerWork>();
  /** By owner: when its gap is looked at next. */
  readonly #gaps = new Map<NodeId, Disposable>();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #subscription: Disposable;
  #roundTimer: Disposable | undefined;
  #active = 0;

  constructor(deps: PullsDependencies) {
    this.#deps = deps;
    this.#subscription = deps.network.subscribe((peer, isConnected) => {
      if (isConnected) this.#onConnect(peer);
      else this.#drop(peer);
    });
    for (const peer of deps.network.connected()) this.#onConnect(peer);
  }

  /** Asks a connected peer soon, after those that wait already; what is asked meanwhile is asked once. */
  ask(peer: NodeId, scope: PullScope): void {
    const { network } = this.#deps;
    if (this.#stopping.signal.aborted || !network.connected().includes(peer)) return;
    const work = this.#work.get(peer) ?? { scope: undefined, isActive: false, failures: 0, retry: undefined };
    if (work.scope === undefined) this.#work.delete(peer);
    work.scope = work.scope === 'all' ? 'all' : scope;
    this.#work.set(peer, work);
    this.#next();
  }

  /** Something of an owner's log is missing; `hint` is a peer that may have it. */
  noticeGap(owner: NodeId, hint: NodeId | undefined, failures = 0): void {
    if (this.#gaps.has(owner) || this.#stopping.signal.aborted) return;
    const delayMs = failures === 0 ? GAP_DELAY_MS : backoffMs(RETRY_BACKOFF, failures, this.#deps.random);
    const timer = this.#deps.clock.after(delayMs, () => {
      this.#gaps.delete(owner);
      if (!this.#deps.isBehind(owner)) return;
      const connected = this.#deps.network.connected();
      if (connected.includes(owner)) this.ask(owner, 'own');
      else {
        const peer =
          hint !== undefined && failures === 0 && connected.includes(hint) ? hint : this.#anyOf(connected);
        if (peer !== undefined) this.ask(peer, 'all');
      }
      // Until it is closed: an answer may break off, and a peer may know no more than this node.
      this.noticeGap(owner, undefined, failures + 1);
    });
    this.#gaps.set(owner, timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#roundTimer?.[Symbol.dispose]();
    for (const timer of this.#gaps.values()) timer[Symbol.dispose]();
    for (const peer of [...this.#work.keys()]) this.#drop(peer);
    this.#gaps.clear();
    this.#stopping.abort(new Error('the node stops'));
    await Promise.all(this.#running);
  }

  #onConnect(peer: NodeId): void {
    this.ask(peer, 'own');
    this.#roundTimer ??= this.#roundAfter(FIRST_ROUND_MS);
  }

  #roundAfter(delayMs: number): Disposable {
    return this.#deps.clock.after(delayMs, () => {
      const peer = this.#anyOf(this.#deps.network.connected());
      if (peer !== undefined) this.ask(peer, 'all');
      this.#roundTimer = this.#roundAfter(ROUND_MIN_MS + this.#deps.random() * ROUND_SPREAD_MS);
    });
  }

  #anyOf(peers: readonly NodeId[]): NodeId | undefined {
    return peers[Math.floor(this.#deps.random() * peers.length)];
  }

  #next(): void {
    for (const [peer, work] of this.#work) {
      if (this.#active >= MAX_ACTIVE) return;
      if (work.isActive || work.scope === undefined) continue;
      const { scope } = work;
      work.scope = undefined;
      work.isActive = true;
      this.#active += 1;
      const run = this.#run(peer, work, scope).finally(() => {
        this.#active -= 1;
        work.isActive = false;
        this.#running.delete(run);
        this.#next();
      });
      this.#running.add(run);
    }
  }

  async #run(peer: NodeId, work: PeerWork, scope: PullScope): Promise<void> {
    try {
      await this.#deps.pull(peer, scope, this.#stopping.signal);
      work.failures = 0;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#deps.onFailure(peer, error);
      if (this.#work.get(peer) !== work) return;
      work.failures += 1;
      const delayMs = backoffMs(RETRY_BACKOFF, work.failures, this.#deps.random);
      work.retry?.[Symbol.dispose]();
      work.retry = this.#deps.clock.after(delayMs, () => this.ask(peer, scope));
    }
  }

  #drop(peer: NodeId): void {
    this.#work.get(peer)?.retry?.[Symbol.dispose]();
    this.#work.delete(peer);
  }
}
