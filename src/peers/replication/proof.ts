import { encode } from 'cborg';
import { decodeArray, isPlace } from './log-record.ts';
import { malformed } from './malformed.ts';
import { HASH_BYTES, MAX_PATH_LENGTH, rootOf } from './merkle.ts';
import { isBytes, SIGNATURE_BYTES, type SignedStatement, type Statement } from './statement.ts';

/** Shows that an owner said a record, whoever carries it: the statement it was signed under, and its way to the root. */
export interface Proof {
  readonly signed: SignedStatement;
  readonly index: number;
  readonly path: readonly Uint8Array[];
}

/** CBOR `[statement, signature, index, [hash…]]`. */
export function encodeProof({ signed, index, path }: Proof): Uint8Array {
  return encode([signed.bytes, signed.signature, index, path]);
}

/** Throws a `PeerError` `peer_violation`. */
export function decodeProof(bytes: Uint8Array): Proof {
  const [statement, signature, index, path] = decodeArray(bytes, 4, 'proof');
  const isRight =
    statement instanceof Uint8Array &&
    isBytes(signature, SIGNATURE_BYTES) &&
    isPlace(index) &&
    Array.isArray(path) &&
    path.length <= MAX_PATH_LENGTH &&
    path.every((step) => isBytes(step, HASH_BYTES));
  if (!isRight) throw malformed('proof');
  return { signed: { bytes: statement, signature }, index, path: path as Uint8Array[] };
}

/** Whether the leaf is under the statement's root, at its place. Says nothing of the statement's signature. */
export function isProved(leaf: Uint8Array, proof: Proof, statement: Statement): boolean {
  if (proof.index >= statement.count) return false;
  const root = rootOf(leaf, proof.index, statement.count, proof.path);
  return root !== undefined && Buffer.compare(root, statement.root) === 0;
}
