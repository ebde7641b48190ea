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
  /** This node's own identity speaks out of another process. */
  readonly onCopied: () => void;
  /** A greater epoch than this one is about to begin. */
  readonly onBehind: (epoch: number) => void;
  /** It has begun. */
  readonly onOpened: () => void;
}

/** A node begins its log anew so often at most because a peer is in doubt, ms: all others must fetch it again. */
const DOUBT_INTERVAL_MS = 600_000;

/**
 * What others show this node of what it once said. Where that is more than its store holds, the store was lost or restored: the log
 * begins a greater epoch, so that what it says from now on is not taken for what it said before.
 */
export class OwnPast {
  readonly #deps: OwnPastDependencies;
  readonly #headAtStart: number;
  #doubtedAtMs = Number.NEGATIVE_INFINITY;
  #opening: Promise<void> | undefined;

  constructor(deps: OwnPastDependencies) {
    this.#deps = deps;
    this.#headAtStart = deps.log.head;
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

  /** The same, of one statement that is known to bear this node's name. */
  hear(statement: Statement, signed: SignedStatement): void {
    const { nodeId, log, voice, signing, watch, onCopied } = this.#deps;
    // Anybody can send back what this process has said: that costs no look at its signature.
    if (statement.incarnation === voice.incarnation && statement.tick <= voice.tick) return;
    requireSigned(statement, signed, signing);
    if (watch.isOwnCopy(nodeId, statement, voice)) return onCopied();
    // What a life before has said, this one must have begun with.
    const isLost =
      statement.epoch > log.epoch || (statement.epoch === log.epoch && statement.head > this.#headAtStart);
    if (isLost) this.#open(statement.epoch);
  }

  /** A peer has all that this node said in its lives, and yet it is not what this node has. */
  doubt(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#doubtedAtMs < DOUBT_INTERVAL_MS) return;
    this.#doubtedAtMs = nowMs;
    this.#open(this.#deps.log.epoch);
  }

  #open(above: number): void {
    const { log, onBehind, onOpened } = this.#deps;
    if (this.#opening !== undefined) return;
    onBehind(above);
    this.#opening = log
      .openEpoch(above)
      .then(onOpened)
      .finally(() => (this.#opening = undefined));
    // A disk that fails ends the process by itself.
    this.#opening.catch(() => undefined);
  }
}
