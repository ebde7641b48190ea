import type { ErrorReply } from './errors.ts';
import { protocolError } from './errors.ts';
import type { RpcErrorData, RpcReason } from './wire.ts';
import { RPC_ERROR_CODES } from './wire.ts';

/** A JSON-RPC 2.0 response: a result or an error, never both. */
export interface RpcResponse {
  readonly jsonrpc: string;
  id: string | number | null;
  readonly result?: unknown;
  readonly error?: RpcResponseError;
}

export interface RpcResponseError {
  readonly code: number;
  readonly message: string;
  data?: RpcErrorData;
}

/** The specification's own words. */
export const INVALID_REQUEST = 'Invalid Request';
export const METHOD_NOT_FOUND = 'Method not found';

export function errorResponse({ code, message, data }: ErrorReply, id: RpcResponse['id']): RpcResponse {
  return { jsonrpc: '2.0', error: { code, message, data }, id };
}

const REASONS = new Map<number, RpcReason>(
  Object.entries(RPC_ERROR_CODES).map(([reason, code]) => [code, reason as RpcReason]),
);

const NO_CALL_PROBLEM =
  'a call is an object with jsonrpc "2.0", a method name, params that are an array or an object, ' +
  'and an id that is a string, a number or null';

/** The answer to what is no call at all. */
export const NO_CALL = protocolError('invalid_request', INVALID_REQUEST, { problem: NO_CALL_PROBLEM });

/** Errors that jayson made itself get the data that all of ours have. */
export function withErrorData(response: RpcResponse, request: unknown): RpcResponse {
  const { error } = response;
  if (error === undefined || error.data !== undefined) return response;
  const details: Record<string, unknown> =
    error.code === RPC_ERROR_CODES.method_not_found
      ? { method: (request as { method: string }).method.slice(0, MAX_METHOD_LENGTH) }
      : { problem: NO_CALL_PROBLEM };
  error.data = { reason: REASONS.get(error.code) ?? 'internal_error', retryable: false, details };
  return response;
}

/** How much of an unknown method's name is quoted back. */
const MAX_METHOD_LENGTH = 128;

const STATUSES = new Map<number, number>([
  [RPC_ERROR_CODES.parse_error, 400],
  [RPC_ERROR_CODES.unauthenticated, 401],
  [RPC_ERROR_CODES.forbidden, 403],
]);

/** The HTTP status of a single response: 200 for every call that could be understood and was let in. */
export function statusOf({ error }: RpcResponse): number {
  return error === undefined ? 200 : (STATUSES.get(error.code) ?? 200);
}
