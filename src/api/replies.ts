import type { ServerResponse } from 'node:http';
import type { Clock } from '../kernel/clock.ts';

/** On every reply: nothing here is a page, nothing is to be kept, nothing is to be guessed. */
export const SECURITY_HEADERS: readonly string[] = [
  'X-Content-Type-Options',
  'nosniff',
  'Cache-Control',
  'no-store',
  'Content-Security-Policy',
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
];

export const JSON_TYPE = 'application/json; charset=utf-8';
export const TEXT_TYPE = 'text/plain; charset=utf-8';
const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

const JSON_HEADERS: readonly string[] = ['Content-Type', JSON_TYPE, ...SECURITY_HEADERS, 'Content-Length'];

/** A whole reply in one write. */
export function sendJsonText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, [...JSON_HEADERS, String(Buffer.byteLength(text))]);
  response.end(text);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendJsonText(response, status, JSON.stringify(value));
}

/** `headers`: names and values in turn. */
export function sendText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  headers: readonly string[] = [],
): void {
  const length = String(Buffer.byteLength(text));
  response.writeHead(status, [
    'Content-Type',
    type,
    ...SECURITY_HEADERS,
    ...headers,
    'Content-Length',
    length,
  ]);
  response.end(text);
}

/** A reply without a body. */
export function sendEmpty(
  response: ServerResponse,
  status: 200 | 204,
  headers: readonly string[] = [],
): void {
  const length = status === 204 ? [] : ['Content-Length', '0'];
  response.writeHead(status, [...SECURITY_HEADERS, ...headers, ...length]);
  response.end();
}

/** What went wrong with an HTTP request, for people and programs (RFC 9457). */
export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly reason: string;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

export function sendProblem(
  response: ServerResponse,
  problem: Problem,
  headers: readonly string[] = [],
): void {
  const { status, title, detail, reason, retryable = false, retryAfterMs, details = {} } = problem;
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs };
  const body = { type: 'about:blank', title, status, detail, reason, retryable, ...retry, details };
  sendText(response, status, PROBLEM_TYPE, JSON.stringify(body), [
    ...retryAfterHeader(retryAfterMs),
    ...headers,
  ]);
}

/** The header takes whole seconds. */
export function retryAfterHeader(retryAfterMs: number | undefined): readonly string[] {
  return retryAfterMs === undefined
    ? []
    : ['Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))];
}

/**
 * Drops a connection that takes nothing of a written reply for `stallTimeoutMs`. A reply that fits into the socket's
 * buffers needs no such guard.
 */
export function guardAgainstStall(response: ServerResponse, clock: Clock, stallTimeoutMs: number): void {
  if (response.writableLength === 0) return;
  let waitingBytes = response.writableLength;
  let timer: Disposable;
  const check = (): void => {
    if (response.writableLength >= waitingBytes) {
      response.destroy();
      return;
    }
    waitingBytes = response.writableLength;
    timer = clock.after(stallTimeoutMs, check);
  };
  timer = clock.after(stallTimeoutMs, check);
  response.once('close', () => timer[Symbol.dispose]());
}
