import type { IncomingMessage } from 'node:http';
import { connectionError } from './http-exchange.ts';
import type { NodeAddress } from './node-address.ts';
import { RpcError } from './rpc-error.ts';

/** A full page of jobs, each with every label it may have, stays below this. */
const MAX_REPLY_BYTES = 128 * 1024 ** 2;

/** The whole body as text. Fails with `unreachable`, `timeout`, `cancelled` or `bad_reply`. */
export async function readBody(
  response: IncomingMessage,
  address: NodeAddress,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<string> {
  const timer = setTimeout(() => {
    const message = `${address.text} did not send its whole answer within ${options.timeoutMs / 1000} s`;
    response.destroy(
      new RpcError('timeout', message, { retryable: true, details: { address: address.text } }),
    );
  }, options.timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_REPLY_BYTES) {
        throw new RpcError('bad_reply', `${address.text} answered with more than ${MAX_REPLY_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw connectionError(error, address, options.signal);
  } finally {
    clearTimeout(timer);
  }
}
