import type { Signing } from '../signing.ts';
import { signBatch } from './batch.ts';
import type { Span } from './coverage.ts';
import type { OwnChange, OwnLog } from './own-log.ts';
import { SetDigest } from './set-digest.ts';
import type { SignedStatement, StatementPlace } from './statement.ts';

export interface VoiceOptions {
  /** Which life of this node it speaks for; greater than any before that is remembered here. */
  readonly incarnation: number;
  /** What the node tells of itself; at most `MAX_CARD_BYTES`. */
  readonly card: () => Uint8Array;
}

/** Most changes whose part in the digest is put off until somebody asks for it. */
const MAX_PUT_OFF = 4096;

/** Lives of this process of which it is remembered what was said in them. */
const MAX_LIVES_KEPT = 64;

/** Speaks for this node's own log: signs what it says of itself, each statement at a place of its own. */
export class Voice implements Disposable {
  readonly #card: () => Uint8Array;
  readonly #log: OwnLog;
  readonly #signing: Signing;
  readonly #digest = new SetDigest();
  readonly #subscription: Disposable;
  /** By key: the record that the digest still counts, and the one that it should. */
  readonly #putOff = new Map<string, { before: number | undefined; after: number | undefined }>();
  /** By life: the last statement that this process has signed in it. */
  readonly #said = new Map<number, number>();
  #incarnation: number;
  #tick = 0;

  constructor(options: VoiceOptions, deps: { log: OwnLog; signing: Signing }) {
    this.#card = options.card;
    this.#incarnation = options.incarnation;
    this.#log = deps.log;
    this.#signing = deps.signing;
    for (const { key, seq } of deps.log.live()) this.#digest.add(key, seq);
    this.#subscription = deps.log.subscribe((change) => this.#note(change));
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** Of the last statement. */
  get tick(): number {
    return this.#tick;
  }

  /** Goes on as a later life, so that what was signed in those before is older than what is said from now on. */
  beginLife(incarnation: number): void {
    this.#incarnation = incarnation;
    for (const oldest of this.#said.keys()) {
      if (this.#said.size < MAX_LIVES_KEPT) break;
      this.#said.delete(oldest);
    }
  }

  /** Whether this process has signed the statement at that place. */
  hasSaid({ incarnation, tick }: Pick<StatementPlace, 'incarnation' | 'tick'>): boolean {
    return tick <= (this.#said.get(incarnation) ?? 0);
  }

  /** Signs that the records `leaves` are all that still counts of the changes in `span`. */
  say(span: Span, leaves: readonly Uint8Array[]): SignedStatement {
    this.#settle();
    const { epoch, head, floor } = this.#log;
    this.#tick += 1;
    this.#said.set(this.#incarnation, this.#tick);
    const place = { epoch, incarnation: this.#incarnation, tick: this.#tick };
    const draft = { ...place, ...span, head, floor, digest: this.#digest.bytes(), card: this.#card() };
    return signBatch(draft, leaves, this.#signing);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #note({ key, seq, before, body }: OwnChange): void {
    const after = body === undefined ? undefined : seq;
    const known = this.#putOff.get(key);
    this.#putOff.set(key, { before: known === undefined ? before : known.before, after });
    if (this.#putOff.size >= MAX_PUT_OFF) this.#settle();
  }

  #settle(): void {
    for (const [key, { before, after }] of this.#putOff) {
      if (before !== undefined) this.#digest.remove(key, before);
      if (after !== undefined) this.#digest.add(key, after);
    }
    this.#putOff.clear();
  }
}
