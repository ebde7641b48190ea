import { z } from 'zod';
import type { Wish } from './opening.ts';
import type { Refusal } from './refusal.ts';

/**
 * What two nodes say to each other before a client's bytes are carried, as JSON. Fields that are not known here are left out. The peer
 * is a member, and wrong all the same until it is checked.
 */

const MAX_FIELDS = 64;
const MAX_FIELD_LENGTH = 8 * 1024;

const value = z.string().max(4_096);
/** A line of a head: nothing that could end it. */
const field = z
  .string()
  .max(MAX_FIELD_LENGTH)
  .regex(/^[\t\u0020-\u007e\u0080-\u00ff]*$/);
const fields = z.array(field).max(MAX_FIELDS);

const query = z.object({
  controller: value.exactOptional(),
  version: value.exactOptional(),
  path: value.exactOptional(),
  proc: value.exactOptional(),
  job: value.exactOptional(),
});

const request = z.discriminatedUnion('kind', [
  /** Would you, and how well? */
  z.object({ kind: z.literal('ask'), query }),
  z.object({
    kind: z.literal('open'),
    query,
    key: field,
    passed_on: fields,
    client: field,
  }),
]);
export type TunnelRequest = z.output<typeof request>;

const reply = z.discriminatedUnion('kind', [
  /** How many more instances there is room for. */
  z.object({ kind: z.literal('offer'), room: z.int().min(0) }),
  z.object({
    kind: z.literal('opened'),
    fields,
    controller: field.exactOptional(),
    job: z.string().regex(/^[0-9a-f-]{36}$/),
  }),
  z.object({
    kind: z.literal('refused'),
    status: z.int().min(400).max(599),
    text: z.string().max(4_096),
    retry_after_ms: z.int().min(0).exactOptional(),
  }),
]);
export type TunnelReply = z.output<typeof reply>;

/** What the other side said is none of these. */
export class TunnelViolation extends Error {
  override readonly name = 'TunnelViolation';
}

export function encodeTunnel(message: TunnelRequest | TunnelReply): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

export function decodeTunnelRequest(frame: Uint8Array | undefined): TunnelRequest {
  return decode(request, frame);
}

export function decodeTunnelReply(frame: Uint8Array | undefined): TunnelReply {
  return decode(reply, frame);
}

export function openRequestOf({ query, handshake, client }: Wish): TunnelRequest {
  return { kind: 'open', query, key: handshake.key, passed_on: [...handshake.passedOn], client };
}

export function refusedReplyOf({ status, text, retryAfterMs }: Refusal): TunnelReply {
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) };
  return { kind: 'refused', status, text: text.slice(0, 4_096).toWellFormed(), ...retry };
}

function decode<Message>(schema: z.ZodType<Message>, frame: Uint8Array | undefined): Message {
  if (frame === undefined) throw new TunnelViolation('the peer said nothing');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame).toString('utf8'));
  } catch (error) {
    throw new TunnelViolation('the peer said no JSON', { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TunnelViolation('the peer said what is not known here', { cause: parsed.error });
}
