import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Signing } from '../signing.ts';
import { requireSigned } from './batch.ts';
import type { IdentityWatch } from './identity-watch.ts';
import type { OwnLog } from './own-log.ts';
import { decodeStatement, type SignedStatement, type Statement } from './statement.ts';
import type { Voice } from './voice.ts';

export interface OwnPastDependencies {
  readonly nodeId: NodeId;
  readonly log: OwnLog;
  readonly voice: Voice;
  readonly signing: Signing;
  readonly watch: IdentityWatch;
  readonly clock: Clock;
  /** Counts a new life of this node, above a number, and gives back which it is. */
  readonly nextLife: (above: number) => number;
  /** This node's own identity speaks out of another process. */
  readonly onCopied: () => void;
  /** A greater epoch than this one is about to begin. */
  readonly onBehind: (epoch: number) => void;
  /** The node speaks from a later life or epoch than before. */
  readonly onBegun: () => void;
}

/** A node begins its log anew so often at most because a peer is in doubt, ms: all others must fetch it again. */
const DOUBT_INTERVAL_MS = 600_000;
/**
 * How often a node puts its life above one that it is shown, within `LIVES_MS`: the past was so many lives long as far as this node
 * does not remember it, and another process with its identity answers each time.
 */
const MAX_LIVES = 3;
const LIVES_MS = 600_000;
/** How far above, in lives: peers may know of different ones, and each began at its millisecond, or was counted from there. */
const HEADROOM = 60_000;
/** What was heard for the first time so long after this process began was not said before it, ms. */
const UNDER_WAY_MS = 10_000;

/**
 * What others show this node of what it once said. Where that is later than what it says now, its clock was set back and it lost
 * count of its lives: it goes on as a life above. Where that is more than its store holds, the store was lost or restored: the log
 * begins a greater epoch, so that what it says from now on is not taken for what it said before.
 */
export class OwnPast {
  readonly #deps: OwnPastDependencies;
  readonly #headAtStart: number;
  readonly #startedMs: number;
  #doubtedAtMs = Number.NEGATIVE_INFINITY;
  #lives = 0;
  #lastLifeMs = Number.NEGATIVE_INFINITY;
  #opening: Promise<void> | undefined;

  constructor(deps: OwnPastDependencies) {
    this.#deps = deps;
    this.#headAtStart = deps.log.head;
    this.#startedMs = deps.clock.monotonicMs();
  }

  /** Resolves when no epoch is about to begin. */
  async settled(): Promise<void> {
    await this.#opening;
  }

  /** Throws a `PeerError` `peer_violation` when this node never said it. */
  show(evidence: readonly SignedStatement[]): void {
    for (const signed of evidence) {
      const statement = decodeStatement(signed.bytes);
      if (Buffer.compare(statement.owner, this.#deps.signing.publicKey) === 0) this.hear(statement, signed);
    }
  }

  /**
   * The same, of one statement that is known to bear this node's name; `ageMs` is how long ago a peer heard it first, where one
   * says so.
   */
  hear(statement: Statement, signed: SignedStatement, ageMs = Number.POSITIVE_INFINITY): void {
    const { nodeId, log, voice, signing, watch, clock, onCopied } = this.#deps;
    // Anybody can send back what this process has said: that costs no look at its signature.
    if (voice.hasSaid(statement)) return;
    requireSigned(statement, signed, signing);
    const isOfNow = clock.monotonicMs() - this.#startedMs - ageMs > UNDER_WAY_MS;
    if (statement.incarnation >= voice.incarnation) {
      const mayGoAbove = this.#hasLivesLeft();
      if (isOfNow || !mayGoAbove) onCopied();
      if (!mayGoAbove) return;
      this.#goAbove(statement);
    } else if (isOfNow && watch.isCopy(nodeId, statement, voice)) return onCopied();
    // What a life before has said, this one must have begun with.
    const isLost =
      statement.epoch > log.epoch || (statement.epoch === log.epoch && statement.head > this.#headAtStart);
    if (isLost) this.#open(statement.epoch);
  }

  /**
   * A peer has all that this node said in its lives, and yet it is not what this node has. It counts only from one that shows
   * what this process has said in this epoch. Throws a `PeerError` `peer_violation` when this node never said it.
   */
  doubt(evidence: readonly SignedStatement[]): void {
    const { log, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#doubtedAtMs < DOUBT_INTERVAL_MS) return;
    if (!evidence.some((signed) => this.#hasSaid(signed))) return;
    this.#doubtedAtMs = nowMs;
    this.#open(log.epoch);
  }

  #hasSaid(signed: SignedStatement): boolean {
    const { log, voice, signing } = this.#deps;
    const statement = decodeStatement(signed.bytes);
    const isOwn = Buffer.compare(statement.owner, signing.publicKey) === 0;
    if (!isOwn || statement.epoch !== log.epoch || !voice.hasSaid(statement)) return false;
    requireSigned(statement, signed, signing);
    return true;
  }

  #hasLivesLeft(): boolean {
    if (this.#deps.clock.monotonicMs() - this.#lastLifeMs >= LIVES_MS) this.#lives = 0;
    return this.#lives < MAX_LIVES;
  }

  #goAbove({ incarnation }: Statement): void {
    const { voice, clock, nextLife, onBegun } = this.#deps;
    this.#lives += 1;
    this.#lastLifeMs = clock.monotonicMs();
    voice.beginLife(nextLife(incarnation + HEADROOM));
    onBegun();
  }

  #open(above: number): void {
    const { log, onBehind, onBegun } = this.#deps;
    if (this.#opening !== undefined) return;
    onBehind(above);
    this.#opening = log
      .openEpoch(above)
      .then(onBegun)
      .finally(() => (this.#opening = undefined));
    // A disk that fails ends the process by itself.
    this.#opening.catch(() => undefined);
  }
}
