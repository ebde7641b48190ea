import type { ServerResponse } from 'node:http';
import { protocolError } from './errors.ts';
import type { ErrorReply } from './errors.ts';
import { BodyReader } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { ApiLimits } from './limits.ts';
import { isJsonRequest, shownType } from './media-type.ts';
import type { ApiDependencies } from './ports.ts';
import {
  guardAgainstStall,
  JSON_TYPE,
  SECURITY_HEADERS,
  sendEmpty,
  sendJsonText,
  sendText,
  TEXT_TYPE,
} from './replies.ts';
import type { RpcEndpoint } from './rpc-endpoint.ts';
import { errorResponse } from './rpc-response.ts';

export const RPC_PATH = '/jrpc';

/** A reply up to this size fits into the socket's buffers, so no client can make it wait. */
const UNGUARDED_REPLY_BYTES = 64 * 1024;

/** How long a body that is too long is still taken and thrown away, so that the client gets to read the answer. */
const LINGER_MS = 1_000;

interface Reply {
  readonly response: ServerResponse;
  readonly status: number;
  readonly text: string;
}

/** `POST /jrpc`: gets the body in within its bounds, and the answer out. */
export class RpcRoute {
  readonly #limits: ApiLimits;
  readonly #endpoint: RpcEndpoint;
  readonly #bodies: BodyReader;
  /** At most one per request under way. */
  #replies: Reply[] = [];
  #isReading = false;
  readonly #deps: Pick<ApiDependencies, 'metrics' | 'clock'>;

  constructor(limits: ApiLimits, endpoint: RpcEndpoint, deps: Pick<ApiDependencies, 'metrics' | 'clock'>) {
    this.#limits = limits;
    this.#endpoint = endpoint;
    this.#bodies = new BodyReader({ maxBytes: limits.maxBodyBytes });
    this.#deps = deps;
  }

  handle(exchange: Exchange): void {
    const { request, response, head } = exchange;
    // The texts are those of the first version, whose clients may compare them.
    if (request.method !== 'POST') {
      const text = `rpc: POST method required, received ${request.method}`;
      this.#count(405);
      return sendText(response, 405, TEXT_TYPE, text, ['Allow', 'POST']);
    }
    if (!isJsonRequest(head) || (head.contentEncoding ?? 'identity').toLowerCase() !== 'identity') {
      this.#count(415);
      return sendText(response, 415, TEXT_TYPE, unsupportedText(exchange));
    }
    if (Number(head.contentLength ?? 0) > this.#limits.maxBodyBytes) return this.#refuseBody(exchange);
    if (exchange.expectsContinue) response.writeContinue();
    this.#bodies.read(request, (body) => {
      if (body === undefined) this.#refuseBody(exchange);
      else this.#carryOut(body, exchange);
    });
  }

  #carryOut(body: Buffer, exchange: Exchange): void {
    this.#isReading = true;
    this.#endpoint.handle(body, exchange, (status, text) => this.#reply(exchange, status, text));
    this.#isReading = false;
  }

  /**
   * Replies wait until every request that has arrived is carried out, and then go out one after the other. A client
   * with many connections is woken once instead of once per reply, which doubles what both sides get done.
   */
  #reply({ response }: Exchange, status: number, text: string): void {
    this.#replies.push({ response, status, text });
    if (this.#replies.length !== 1) return;
    if (this.#isReading) setImmediate(this.#sendReplies);
    else process.nextTick(this.#sendReplies);
  }

  readonly #sendReplies = (): void => {
    const replies = this.#replies;
    this.#replies = [];
    for (const { response, status, text } of replies) {
      this.#count(status);
      if (!response.destroyed) this.#send(response, status, text);
    }
  };

  #send(response: ServerResponse, status: number, text: string): void {
    if (text === '') return sendEmpty(response, status === 204 ? 204 : 200);
    sendJsonText(response, status, text);
    if (text.length > UNGUARDED_REPLY_BYTES) {
      guardAgainstStall(response, this.#deps.clock, this.#limits.stallTimeoutMs);
    }
  }

  #count(status: number): void {
    this.#deps.metrics.httpRequest(RPC_PATH, status);
  }

  /**
   * Answers 413 and closes. A connection closed while bytes arrive is reset, and the answer lost; so what still comes
   * is thrown away for a moment.
   */
  #refuseBody({ request, response, expectsContinue }: Exchange): void {
    this.#count(413);
    const text = JSON.stringify(errorResponse(bodyTooLong(this.#limits.maxBodyBytes), null));
    response.shouldKeepAlive = false;
    const length = String(Buffer.byteLength(text));
    response.writeHead(413, ['Content-Type', JSON_TYPE, ...SECURITY_HEADERS, 'Content-Length', length]);
    response.write(text);
    if (expectsContinue) {
      response.end();
      return;
    }
    const timer = this.#deps.clock.after(LINGER_MS, () => response.end());
    request.once('end', () => response.end());
    response.once('close', () => timer[Symbol.dispose]());
    request.resume();
  }
}

function unsupportedText({ head }: Exchange): string {
  if (isJsonRequest(head)) return 'rpc: unrecognized Content-Encoding: send the body as it is';
  return `rpc: unrecognized Content-Type: ${shownType(head)}`;
}

function bodyTooLong(maxBodyBytes: number): ErrorReply {
  const message = `Invalid Request: the body is longer than ${maxBodyBytes} bytes`;
  return protocolError('invalid_request', message, { max_body_bytes: maxBodyBytes }, 413);
}
