import { encode } from 'cborg';
import { DIGEST_BYTES } from './set-digest.ts';
import { HASH_BYTES, MAX_LEAVES } from './merkle.ts';
import { decodeArray, isPlace } from './log-record.ts';
import { malformed } from './malformed.ts';

/**
 * What an owner signs: how far its log has come, and that of the changes in (`from`, `to`] the records under `root` are those
 * that still count. Whatever it does not hold of them was superseded. Without records and with `from` equal to `to` it is a
 * beacon: a sign of life.
 */
export interface Statement {
  /** The owner's raw Ed25519 public key, 32 bytes. */
  readonly owner: Uint8Array;
  /** Orders the lives of the owner's store. */
  readonly epoch: number;
  /** Orders the lives of the owner's process; with `tick` no two statements of an owner are at the same place. */
  readonly incarnation: number;
  readonly tick: number;
  readonly from: number;
  readonly to: number;
  /** The last change when this was signed, and the digest of all records that were there then. */
  readonly head: number;
  readonly digest: Uint8Array;
  /** Removals up to this change are forgotten: whoever is covered for less replaces all they have of the owner. */
  readonly floor: number;
  readonly root: Uint8Array;
  /** How many records are under the root. */
  readonly count: number;
  /** What the owner tells of itself, as bytes that only its reader understands. */
  readonly card: Uint8Array;
}

/** A statement as it travels: the bytes that were signed, unchanged, and their signature. */
export interface SignedStatement {
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
export const MAX_CARD_BYTES = 512;
export const MAX_STATEMENT_BYTES = 1024;

/** Version of the statement's shape. Fields may be added at the end within a version. */
const VERSION = 1;

export function encodeStatement(statement: Statement): Uint8Array {
  const { owner, epoch, incarnation, tick, from, to, head, digest, floor, root, count, card } = statement;
  return encode([VERSION, owner, epoch, incarnation, tick, from, to, head, digest, floor, root, count, card]);
}

/** Throws a `PeerError` `peer_violation` unless it is a statement that can be true. Says nothing of its signature. */
export function decodeStatement(bytes: Uint8Array): Statement {
  if (bytes.length > MAX_STATEMENT_BYTES) throw malformed('statement: too long');
  const fields = decodeArray(bytes, 13, 'statement');
  const [version, owner, epoch, incarnation, tick, from, to, head, digest, floor, root, count, card] = fields;
  if (version !== VERSION) throw malformed('statement: unknown version');
  const isRight =
    isBytes(owner, KEY_BYTES) &&
    isBytes(digest, DIGEST_BYTES) &&
    isBytes(root, HASH_BYTES) &&
    card instanceof Uint8Array &&
    card.length <= MAX_CARD_BYTES &&
    [epoch, incarnation, tick, from, to, head, floor, count].every(isPlace);
  if (!isRight) throw malformed('statement');
  const statement = { owner, epoch, incarnation, tick, from, to, head, digest, floor, root, count, card };
  const { from: start, to: end, head: last, floor: lowest, count: records } = statement as Statement;
  const isPossible =
    start <= end && end <= last && lowest <= last && records <= Math.min(end - start, MAX_LEAVES);
  if (!isPossible) throw malformed('statement: impossible places');
  return statement as Statement;
}

/** Whether `a` was signed after `b`, both by one owner. */
export function isNewer(a: StatementPlace, b: StatementPlace): boolean {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch;
  return a.incarnation === b.incarnation ? a.tick > b.tick : a.incarnation > b.incarnation;
}

export type StatementPlace = Pick<Statement, 'epoch' | 'incarnation' | 'tick'>;

export function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}
