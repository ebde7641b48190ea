import type { Clock } from '../../kernel/clock.ts';
import { encodeBatch } from './batch.ts';
import { encodeRecord } from './log-record.ts';
import { MAX_LEAVES } from './merkle.ts';
import type { OwnChange, OwnLog } from './own-log.ts';
import type { Voice } from './voice.ts';

export interface PublisherDependencies {
  readonly log: OwnLog;
  readonly voice: Voice;
  readonly clock: Clock;
  readonly publish: (message: Uint8Array) => void;
  /** How many peers listen. */
  readonly listeners: () => number;
}

/**
 * Time between two batches while changes keep coming, for each peer and in all, ms: every message costs every node a signature to
 * check, so that the more there are, the fewer each of them sends.
 */
const INTERVAL_PER_PEER_MS = 6;
const MAX_INTERVAL_MS = 100;
/** Batches that need not wait after a silence: the first changes of a job follow each other closely. */
const BURST = 4;
/** Between two signs of life, ms. */
export const BEACON_MS = 5_000;
/** After the last of several batches, so that whoever missed it knows soon, ms. */
const AFTERTHOUGHT_MS = 250;
/** Bytes of records in one message; with the rest of it, it fits into a gossiped one. */
const MAX_RECORD_BYTES = 48 * 1024;
/** Changes that wait to be told. With more, they are left out: their hearers see the gap, and ask. */
const MAX_PENDING = 4096;

/** Tells peers of this node's changes as they come, several in one message, and that it lives when there are none. */
export class Publisher implements Disposable {
  readonly #deps: PublisherDependencies;
  readonly #subscription: Disposable;
  #pending = new Map<string, OwnChange>();
  /** Up to where it was told. */
  #toldUpTo: number;
  /** When the batches sent so far would have been sent one interval after the other. */
  #paidUntilMs = Number.NEGATIVE_INFINITY;
  #flushTimer: Disposable | undefined;
  #beaconTimer: Disposable;

  constructor(deps: PublisherDependencies) {
    this.#deps = deps;
    this.#toldUpTo = deps.log.head;
    this.#subscription = deps.log.subscribe((change) => this.#note(change));
    this.#beaconTimer = this.#beaconAfter(BEACON_MS);
  }

  /** Says that this node lives, and how far its log has come. */
  beacon(): void {
    this.#beaconTimer[Symbol.dispose]();
    this.#beaconTimer = this.#beaconAfter(BEACON_MS);
    const listeners = this.#deps.listeners();
    if (listeners === 0) return;
    const { head } = this.#deps.log;
    this.#deps.publish(encodeBatch(this.#deps.voice.say({ from: head, to: head }, []), [], listeners));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#flushTimer?.[Symbol.dispose]();
    this.#beaconTimer[Symbol.dispose]();
  }

  #note(change: OwnChange): void {
    if (this.#deps.listeners() === 0 || this.#pending.size >= MAX_PENDING) return this.#skip(change.seq);
    // In the order of the newest change of each key.
    this.#pending.delete(change.key);
    this.#pending.set(change.key, change);
    if (this.#flushTimer !== undefined) return;
    // At once is still after all changes of one commit, which are told together.
    const earliestMs = this.#paidUntilMs - (BURST - 1) * this.#intervalMs();
    const delayMs = Math.max(0, earliestMs - this.#deps.clock.monotonicMs());
    this.#flushTimer = this.#deps.clock.after(delayMs, () => this.#flush());
  }

  #skip(seq: number): void {
    this.#pending.clear();
    this.#toldUpTo = seq;
  }

  #flush(): void {
    this.#flushTimer = undefined;
    const changes = [...this.#pending.values()].filter(({ seq }) => seq > this.#toldUpTo);
    this.#pending.clear();
    const { head } = this.#deps.log;
    if (head === this.#toldUpTo) return;
    this.#paidUntilMs = Math.max(this.#paidUntilMs, this.#deps.clock.monotonicMs()) + this.#intervalMs();
    let leaves: Uint8Array[] = [];
    let bytes = 0;
    let lastSeq = this.#toldUpTo;
    for (const { key, seq, body } of changes) {
      const leaf = encodeRecord({ key, seq, body: body?.() });
      if (leaves.length > 0 && (bytes + leaf.length > MAX_RECORD_BYTES || leaves.length === MAX_LEAVES)) {
        this.#send(lastSeq, leaves);
        leaves = [];
        bytes = 0;
      }
      leaves.push(leaf);
      bytes += leaf.length;
      lastSeq = seq;
    }
    this.#send(head, leaves);
    this.#beaconTimer[Symbol.dispose]();
    this.#beaconTimer = this.#beaconAfter(AFTERTHOUGHT_MS);
  }

  #send(to: number, leaves: readonly Uint8Array[]): void {
    const span = { from: this.#toldUpTo, to };
    this.#toldUpTo = to;
    const { publish, voice, listeners } = this.#deps;
    publish(encodeBatch(voice.say(span, leaves), leaves, listeners()));
  }

  #intervalMs(): number {
    return Math.min(this.#deps.listeners() * INTERVAL_PER_PEER_MS, MAX_INTERVAL_MS);
  }

  #beaconAfter(delayMs: number): Disposable {
    return this.#deps.clock.after(delayMs, () => this.beacon());
  }
}
