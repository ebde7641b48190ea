import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Refusal } from './access.ts';
import type { RequestHead } from './head.ts';
import type { ApiMetrics } from './ports.ts';
import { JSON_TYPE, retryAfterHeader, sendEmpty, sendProblem, sendText } from './replies.ts';
import type { RpcReason } from './wire.ts';
import { RPC_ERROR_CODES } from './wire.ts';

const RPC_REASONS = {
  401: 'unauthenticated',
  403: 'forbidden',
  429: 'unauthenticated',
  503: 'draining',
} as const satisfies Partial<Record<Refusal['status'], RpcReason>>;

/** Answers a request that is not let in: as JSON-RPC where a client expects that, as problem JSON elsewhere. */
export function refuse(
  response: ServerResponse,
  refusal: Refusal,
  isRpc: boolean,
  metrics: ApiMetrics,
): void {
  const { status, reason, message, retryAfterMs } = refusal;
  metrics.refused(reason);
  const challenge = status === 401 ? ['WWW-Authenticate', 'Bearer'] : [];
  if (!isRpc || status === 421) {
    const title = STATUS_CODES[status] ?? '';
    const retry = retryAfterMs === undefined ? {} : { retryable: true, retryAfterMs };
    return sendProblem(response, { status, title, detail: message, reason, ...retry }, challenge);
  }
  const code = RPC_ERROR_CODES[RPC_REASONS[status]];
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs };
  const data = { reason, retryable: retryAfterMs !== undefined, ...retry, details: {} };
  const text = JSON.stringify({ jsonrpc: '2.0', error: { code, message, data }, id: null });
  sendText(response, status, JSON_TYPE, text, [...retryAfterHeader(retryAfterMs), ...challenge]);
}

/** Lets the page that asked read the answer. Only for origins that were checked. */
export function allowOrigin(response: ServerResponse, origin: string): void {
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Vary', 'Origin');
}

/** A browser's question, on behalf of a page, whether the page may send a request. It carries no token. */
export function isPreflight(request: IncomingMessage, head: RequestHead): boolean {
  return request.method === 'OPTIONS' && head.origin !== undefined;
}

/** How long a browser may remember the answer, in seconds. */
const PREFLIGHT_MAX_AGE_S = '600';

export function answerPreflight(response: ServerResponse): void {
  sendEmpty(response, 204, [
    'Access-Control-Allow-Methods',
    'GET, HEAD, POST',
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, Last-Event-ID',
    'Access-Control-Max-Age',
    PREFLIGHT_MAX_AGE_S,
  ]);
}
