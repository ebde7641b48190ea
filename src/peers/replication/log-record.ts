import { decode, encode } from 'cborg';
import { malformed } from './malformed.ts';

/** The newest word of an owner about one thing of its log. Peers carry the body and do not look into it. */
export interface LogRecord {
  readonly key: string;
  /** Place of the change in the owner's log. */
  readonly seq: number;
  /** Undefined when the thing was removed. */
  readonly body: Uint8Array | undefined;
}

/** Longest key and body. */
export const MAX_KEY_LENGTH = 64;
export const MAX_BODY_BYTES = 16 * 1024;

/**
 * What a signature covers of a record, as it is hashed and carried: CBOR `[key, seq, body or null]`. Whoever passes a record on
 * encodes it again, so that it grows within its body alone.
 */
export function encodeRecord({ key, seq, body }: LogRecord): Uint8Array {
  return encode([key, seq, body ?? null]);
}

/** Throws a `PeerError` `peer_violation` for anything that `encodeRecord` does not make. */
export function decodeRecord(bytes: Uint8Array): LogRecord {
  const fields = decodeArray(bytes, 3, 'record');
  const [key, seq, body] = fields;
  if (typeof key !== 'string' || key.length === 0 || key.length > MAX_KEY_LENGTH)
    throw malformed('record key');
  if (!isPlace(seq) || seq === 0) throw malformed('record seq');
  if (body !== null && !(body instanceof Uint8Array && body.length <= MAX_BODY_BYTES))
    throw malformed('record body');
  const record = { key, seq, body: body ?? undefined };
  if (Buffer.compare(encodeRecord(record), bytes) !== 0) throw malformed('record encoding');
  return record;
}

/** A place in a log, or a count: what JavaScript can count without loss. */
export function isPlace(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The fields of a CBOR array. A newer version may have added some at the end; those are not looked at. */
export function decodeArray(bytes: Uint8Array, count: number, what: string): unknown[] {
  const value = decodeCbor(bytes, what);
  if (!Array.isArray(value) || value.length < count) throw malformed(what);
  return value as unknown[];
}

export function decodeCbor(bytes: Uint8Array, what: string): unknown {
  try {
    return decode(bytes, { allowIndefinite: false, allowUndefined: false, allowBigInt: false });
  } catch (error) {
    throw malformed(what, error);
  }
}
