import { CodedError } from '../kernel/errors.ts';
import { PeerError } from './errors.ts';
import type { StreamProtocol } from './network.ts';

/** Longest request, and longest piece of a reply. */
export const MAX_CALL_BYTES = 1024 * 1024;

/**
 * One frame with the request in, frames of the reply out: each begins with a byte that says what it is. A stream that ends
 * without the frame that says so has broken.
 */
export const CALL_PROTOCOL: StreamProtocol = {
  id: '/container-manager/call/1.0.0',
  maxFrameBytes: MAX_CALL_BYTES + 1,
  // Twice as many as are served, so that those beyond are told why.
  maxInboundStreams: 64,
  // A call costs about a ms: one peer must not take all of a node's time.
  maxInboundPerSecond: 500,
};

/** What the other side answers in place of a result. Its code, message and facts are the other side's own. */
export class PeerCallError extends CodedError {
  override readonly name = 'PeerCallError';
}

const DATA = 0;
const ERROR = 1;
const END = 2;
/** Nothing to tell yet: it is still at work. */
const ALIVE = 3;

export type Reply =
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'error'; readonly error: PeerCallError }
  | { readonly kind: 'end' }
  | { readonly kind: 'alive' };

export const END_FRAME: Uint8Array = Uint8Array.of(END);
export const ALIVE_FRAME: Uint8Array = Uint8Array.of(ALIVE);

export function dataFrame(data: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(data.length + 1);
  frame[0] = DATA;
  frame.set(data, 1);
  return frame;
}

export function errorFrame(error: CodedError): Uint8Array {
  const { code, message, details, retryable, retryAfterMs } = error;
  return Buffer.concat([
    Uint8Array.of(ERROR),
    Buffer.from(JSON.stringify({ code, message, details, retryable, retryAfterMs })),
  ]);
}

/** Fails with a `PeerError` `peer_violation` for what no honest peer sends. A kind that only a newer one knows is `alive`. */
export function decodeReply(frame: Uint8Array): Reply {
  switch (frame[0]) {
    case DATA:
      return { kind: 'data', data: frame.subarray(1) };
    case ERROR:
      return { kind: 'error', error: errorOf(frame.subarray(1)) };
    case END:
      return { kind: 'end' };
    case undefined:
      throw new PeerError('peer_violation', 'the peer sent an empty reply');
    default:
      return { kind: 'alive' };
  }
}

function errorOf(bytes: Uint8Array): PeerCallError {
  const { code, message, details, retryable, retryAfterMs } = objectOf(bytes);
  if (typeof code !== 'string' || typeof message !== 'string')
    throw new PeerError('peer_violation', 'the peer sent an error without a code and a message');
  return new PeerCallError(code, message, {
    retryable: retryable === true,
    ...(typeof details === 'object' && details !== null && { details: details as Record<string, unknown> }),
    ...(typeof retryAfterMs === 'number' && retryAfterMs >= 0 && { retryAfterMs }),
  });
}

function objectOf(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below, as everything else that is no object.
  }
  throw new PeerError('peer_violation', 'the peer sent an error that is not JSON');
}
