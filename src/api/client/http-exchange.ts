import { request as requestHttp, type IncomingMessage } from 'node:http';
import { messageOf } from '../../kernel/errors.ts';
import type { NodeAddress } from './node-address.ts';
import { RpcError } from './rpc-error.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the head of the reply to arrive. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Sends a request and resolves with the head of the reply; its body is still to be read. Each call has a connection of
 * its own: a client lives for one call or a few, and a kept connection could break unseen between two of them. Fails
 * with `unreachable`, `timeout` or `cancelled`.
 */
export async function exchange(address: NodeAddress, call: HttpCall): Promise<IncomingMessage> {
  // TLS takes long to load and is rarely needed.
  const request = address.isTls ? (await import('node:https')).request : requestHttp;
  return new Promise((resolve, reject) => {
    const { method, path, headers, body, timeoutMs, signal } = call;
    const allHeaders =
      body === undefined ? headers : { ...headers, 'Content-Length': Buffer.byteLength(body) };
    const { host, port } = address;
    const options = {
      host,
      port,
      method,
      path,
      headers: allHeaders,
      agent: false,
      ...(signal && { signal }),
    };
    const outgoing = request(options, (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    const timer = setTimeout(() => {
      const message = `${address.text} did not answer within ${timeoutMs / 1000} s`;
      outgoing.destroy(
        new RpcError('timeout', message, { retryable: true, details: { address: address.text } }),
      );
    }, timeoutMs);
    outgoing.once('error', (error) => {
      clearTimeout(timer);
      reject(connectionError(error, address, signal));
    });
    outgoing.end(body);
  });
}

/** In our words, whatever the system or the HTTP parser called it. */
export function connectionError(error: unknown, address: NodeAddress, signal?: AbortSignal): RpcError {
  if (error instanceof RpcError) return error;
  if (signal?.aborted === true) return new RpcError('cancelled', 'the call was given up', { cause: error });
  const code = codeOf(error);
  const message = `no node answers at ${address.text}: ${CAUSES[code] ?? messageOf(error)}`;
  return new RpcError('unreachable', message, {
    cause: error,
    retryable: true,
    details: { address: address.text, cause: code, next_step: nextStep(code, address) },
  });
}

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection broke',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name could not be looked up',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'the connection timed out',
  EPROTO: 'it does not speak TLS',
};

function codeOf(error: unknown): string {
  const { code, errors } = error as { code?: unknown; errors?: readonly unknown[] };
  if (typeof code === 'string') return code;
  return errors?.[0] === undefined ? 'unknown' : codeOf(errors[0]);
}

function nextStep(code: string, { isTls }: NodeAddress): string {
  if (code === 'EPROTO') return 'use http:// in the address';
  if (!isTls && (code.startsWith('HPE_') || code === 'ECONNRESET')) {
    return 'see whether the node is up, and use https:// in the address if it speaks TLS';
  }
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code)) {
    return "name the certificate authority's file in NODE_EXTRA_CA_CERTS";
  }
  return 'start a node with `container-manager`, or name another one with --address';
}
