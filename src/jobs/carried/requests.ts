import { z } from 'zod';
import { CodedError } from '../../kernel/errors.ts';
import { isJobId } from '../../kernel/ids.ts';
import { MAX_CALLER_LENGTH } from '../record-shape.ts';
import { jobSpecSchema } from '../spec.ts';

/**
 * What one node may ask of the owner of a job, or of one that may become it, as JSON. Fields that are not known here are left out; a call that is not
 * known here is refused.
 */

/** The longest there can be in a spec. */
const MAX_IMAGE_LENGTH = 512;
const MAX_DIGEST_LENGTH = 128;

const job = z.string().refine(isJobId);
const ms = z.int().min(0);

export const carriedRequestSchema = z.discriminatedUnion('call', [
  /** The job with all of its spec. */
  z.object({ call: z.literal('get'), job }),
  z.object({ call: z.literal('history'), job }),
  z.object({ call: z.literal('stats'), job }),
  z.object({
    call: z.literal('wait'),
    job,
    until: z.enum(['running', 'ended']),
    timeout_ms: ms.exactOptional(),
  }),
  z.object({ call: z.literal('cancel'), job }),
  z.object({ call: z.literal('stop'), job, grace_ms: ms.exactOptional() }),
  z.object({ call: z.literal('remove'), job, force: z.boolean() }),
  z.object({
    call: z.literal('logs'),
    job,
    follow: z.boolean().exactOptional(),
    /** Compared with the times in the log itself, which are the owner's. */
    since_ms: ms.exactOptional(),
    /** The same as a duration before now: clocks of two nodes are not compared. */
    since_ago_ms: ms.exactOptional(),
    tail: z.int().min(0).exactOptional(),
    timestamps: z.boolean().exactOptional(),
  }),
  z.object({ call: z.literal('bid'), image: z.string().max(MAX_IMAGE_LENGTH) }),
  /** A job for the node that is asked, with all of its spec. */
  z.object({
    call: z.literal('accept'),
    job,
    caller: z.string().max(MAX_CALLER_LENGTH),
    parent: job.exactOptional(),
    request: jobSpecSchema,
  }),
  z.object({ call: z.literal('end'), job, removes: z.boolean(), grace_ms: ms.exactOptional() }),
  z.object({
    call: z.literal('claim'),
    job,
    nonce: z.string().max(MAX_DIGEST_LENGTH),
    fingerprint: z.string().max(MAX_DIGEST_LENGTH),
    waits: z.boolean(),
  }),
]);

export type CarriedRequest = z.output<typeof carriedRequestSchema>;

/** Whether a call may take minutes. */
export function isLongCall(request: CarriedRequest): boolean {
  if (request.call === 'logs') return request.follow === true;
  return request.call === 'wait' || request.call === 'end';
}

/** A request that the owner cannot read or carry out, or has no place for. */
export class CarriedCallError extends CodedError<'unsupported_call' | 'busy'> {
  override readonly name = 'CarriedCallError';
}

export function encodeRequest(request: CarriedRequest): Uint8Array {
  return Buffer.from(JSON.stringify(request));
}

/** Fails with `unsupported_call`. */
export function decodeRequest(bytes: Uint8Array): CarriedRequest {
  const parsed = carriedRequestSchema.safeParse(parseJson(bytes));
  if (parsed.success) return parsed.data;
  throw new CarriedCallError('unsupported_call', 'this node does not know such a call');
}

/** `undefined` for what is no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch {
    return undefined;
  }
}
