import { createHash } from 'node:crypto';
import { fillRandom } from './random-pool.ts';

declare const brand: unique symbol;
type Brand<Name extends string> = string & { readonly [brand]: Name };

/** A job's id: UUIDv7, or UUIDv5 of caller and idempotency key, or of parent and node. Lower case, with hyphens. */
export type JobId = Brand<'JobId'>;
/** A node's libp2p peer id, base58btc. */
export type NodeId = Brand<'NodeId'>;
/** What an engine calls the running thing a job led to. */
export type InstanceId = Brand<'InstanceId'>;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isJobId(text: string): text is JobId {
  return UUID.test(text);
}

function formatUuid(bytes: Buffer): string {
  const hex = bytes.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function withVersion(bytes: Buffer, version: number): Buffer {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

/** A new UUIDv7 (RFC 9562, section 5.7): ordered by the millisecond it was made in, the rest random. */
export function newJobId(wallMs: number): JobId {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(wallMs, 0, 6);
  fillRandom(bytes, 6);
  return formatUuid(withVersion(bytes, 7)) as JobId;
}

/** Namespace of the UUIDv5 ids made from idempotency keys. Fixed for good: ids already given out depend on it. */
const KEY_NAMESPACE = Buffer.from('8f6b1b0c5f0e4a53a1c6d0a1f2b7c934', 'hex');

/** The id of the copy of `parent` that `node` runs, always the same (UUIDv5 in the namespace that the parent's own id is). */
export function childJobId(parent: JobId, node: NodeId): JobId {
  const namespace = Buffer.from(parent.replaceAll('-', ''), 'hex');
  return formatUuid(withVersion(createHash('sha1').update(namespace).update(node).digest(), 5)) as JobId;
}

/** The id that `caller` gets for `idempotencyKey`, always the same (UUIDv5, RFC 9562, section 5.5). */
export function jobIdOfKey(caller: string, idempotencyKey: string): JobId {
  const name = JSON.stringify([caller, idempotencyKey]);
  return formatUuid(withVersion(createHash('sha1').update(KEY_NAMESPACE).update(name).digest(), 5)) as JobId;
}
