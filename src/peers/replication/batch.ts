import { encode } from 'cborg';
import type { Signing } from '../signing.ts';
import { decodeArray, decodeRecord, isPlace, type LogRecord, MAX_BODY_BYTES } from './log-record.ts';
import { malformed } from './malformed.ts';
import { MerkleTree, MAX_LEAVES } from './merkle.ts';
import { encodeProof } from './proof.ts';
import {
  decodeStatement,
  encodeStatement,
  isBytes,
  SIGNATURE_BYTES,
  type SignedStatement,
  type Statement,
} from './statement.ts';

/** A signed statement with all records under its root. */
export interface Batch {
  readonly statement: Statement;
  readonly signed: SignedStatement;
  /** In the order of their seq. */
  readonly records: readonly LogRecord[];
  /** The records as they were signed, in the same order. */
  readonly leaves: readonly Uint8Array[];
  /** How many peers its owner says it told; 0 where it does not say. Nobody signed it. */
  readonly listeners: number;
}

/** Signs `leaves`, records in the order of their seq as `encodeRecord` made them. */
export function signBatch(
  draft: Omit<Statement, 'owner' | 'root' | 'count'>,
  leaves: readonly Uint8Array[],
  signing: Signing,
): SignedStatement {
  const { root } = new MerkleTree(leaves);
  const statement = { ...draft, owner: signing.publicKey, root, count: leaves.length };
  const bytes = encodeStatement(statement);
  return { bytes, signature: signing.sign(bytes) };
}

/** CBOR `[statement, signature, [record…], listeners]`, without the last where there are none. */
export function encodeBatch(
  signed: SignedStatement,
  leaves: readonly Uint8Array[],
  listeners = 0,
): Uint8Array {
  const fields = [signed.bytes, signed.signature, leaves];
  return encode(listeners === 0 ? fields : [...fields, listeners]);
}

/** Reads a batch; nothing of it is proved before `requireProved`. Throws a `PeerError` `peer_violation`. */
export function decodeBatch(bytes: Uint8Array): Batch {
  return readBatch(decodeArray(bytes, 3, 'batch'));
}

/** The same, where the array is part of something larger. */
export function readBatch([bytes, signature, leaves, listeners]: readonly unknown[]): Batch {
  if (!(bytes instanceof Uint8Array) || !isBytes(signature, SIGNATURE_BYTES)) throw malformed('batch');
  const statement = decodeStatement(bytes);
  if (!Array.isArray(leaves) || leaves.length !== statement.count || leaves.length > MAX_LEAVES)
    throw malformed('batch: number of records');
  const records = (leaves as unknown[]).map(readLeaf);
  requireOrder(records, statement);
  return {
    statement,
    signed: { bytes, signature },
    records,
    leaves: leaves as Uint8Array[],
    listeners: isPlace(listeners) ? listeners : 0,
  };
}

/**
 * The proof of each record, in order. Throws a `PeerError` `peer_violation` unless the owner signed the statement and exactly
 * these records.
 */
export function proveAll(batch: Batch, signing: Signing): Uint8Array[] {
  const { statement, signed, leaves } = batch;
  requireSigned(statement, signed, signing);
  const tree = new MerkleTree(leaves);
  if (Buffer.compare(tree.root, statement.root) !== 0)
    throw malformed('batch: records do not match what was signed');
  return leaves.map((_leaf, index) => encodeProof({ signed, index, path: tree.path(index) }));
}

/** Throws a `PeerError` `peer_violation` unless the owner itself signed the statement. */
export function requireSigned(statement: Statement, signed: SignedStatement, signing: Signing): void {
  let isRight: boolean;
  try {
    isRight = signing.verify(statement.owner, signed.bytes, signed.signature);
  } catch (error) {
    // Not every 32 bytes are a key.
    throw malformed('signature', error);
  }
  if (!isRight) throw malformed('signature');
}

function readLeaf(leaf: unknown): LogRecord {
  if (!(leaf instanceof Uint8Array) || leaf.length > MAX_BODY_BYTES + 256) throw malformed('record');
  return decodeRecord(leaf);
}

function requireOrder(records: readonly LogRecord[], { from, to }: Statement): void {
  let last = from;
  for (const { seq } of records) {
    if (seq <= last || seq > to) throw malformed('batch: order of records');
    last = seq;
  }
}
