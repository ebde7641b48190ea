import type { RpcErrorData } from '../wire.ts';
import type { NodeAddress } from './node-address.ts';
import { RpcError } from './rpc-error.ts';

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The result of a JSON-RPC reply; throws the `RpcError` that it stands for otherwise. */
export function resultOf(status: number, text: string, address: NodeAddress): unknown {
  const reply = parse(text);
  if (isFields(reply) && isFields(reply['error'])) throw rpcErrorOf(reply['error']);
  if (status === 200 && isFields(reply) && 'result' in reply) return reply['result'];
  throw httpError(status, text, address);
}

function rpcErrorOf(error: Fields): RpcError {
  const { code, message } = error;
  const data: Partial<RpcErrorData> = isFields(error['data']) ? error['data'] : {};
  const reason = typeof data.reason === 'string' ? data.reason : 'internal_error';
  return new RpcError(reason, typeof message === 'string' ? message : 'the node gave no reason', {
    ...(typeof code === 'number' && { rpcCode: code }),
    ...factsOf(data),
  });
}

/** What a reply other than JSON-RPC says: a problem document (RFC 9457), or that this is no node. */
export function httpError(status: number, text: string, address: NodeAddress): RpcError {
  const problem = parse(text);
  if (!isFields(problem) || typeof problem['reason'] !== 'string') {
    return new RpcError(
      'bad_reply',
      `${address.text} is not a node: it answered with HTTP status ${status}`,
      {
        details: { address: address.text, status },
      },
    );
  }
  const { detail, reason } = problem;
  const message = typeof detail === 'string' ? detail : `HTTP status ${status}`;
  return new RpcError(reason, message, factsOf(problem));
}

function factsOf(data: Partial<RpcErrorData>): {
  retryable: boolean;
  retryAfterMs?: number;
  details: Fields;
} {
  const retryAfterMs = data.retry_after_ms;
  return {
    retryable: data.retryable === true,
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
    details: isFields(data.details) ? data.details : {},
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
