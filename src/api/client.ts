import type { IncomingMessage } from 'node:http';
import {
  EventFollower,
  brokenStream,
  type EventMessage,
  type EventStreamOptions,
} from './client/event-stream.ts';
import { exchange } from './client/http-exchange.ts';
import { LineSplitter } from './client/line-splitter.ts';
import { parseNodeAddress, type NodeAddress } from './client/node-address.ts';
import { readBody } from './client/read-body.ts';
import { httpError, resultOf } from './client/reply.ts';
import { RpcError } from './client/rpc-error.ts';
import type { LogEntry, RpcMethodName, RpcMethods } from './wire.ts';

export { RpcError } from './client/rpc-error.ts';
export type { EventMessage, EventStreamOptions } from './client/event-stream.ts';

/** How long a node may take for a call that does not wait for anything, ms. */
export const DEFAULT_CALL_TIMEOUT_MS = 10_000;

export interface RpcClientOptions {
  /** `localhost:8080`, `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly address: string;
  readonly token?: string;
}

export interface CallOptions {
  /** For the whole call, ms. A call that waits for something needs more than the time it is to wait. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface LogStreamOptions {
  /** Goes on until the container ends. */
  readonly follow?: boolean;
  /** RFC 3339, or a duration before now. */
  readonly since?: string;
  /** Only so many lines from the end. */
  readonly tail?: number;
  /** Each line begins with its time. */
  readonly timestamps?: boolean;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

/** Speaks to one node. Holds nothing open between calls, so there is nothing to close. */
export class RpcClient {
  readonly #address: NodeAddress;
  readonly #token: string | undefined;
  #nextId = 1;

  /** Fails with `invalid_address`. */
  constructor(options: RpcClientOptions) {
    this.#address = parseNodeAddress(options.address);
    this.#token = options.token;
  }

  /** As a person would write it. */
  get address(): string {
    return this.#address.text;
  }

  /** Calls a method once, never twice. Every failure is an `RpcError`. */
  async call<Method extends RpcMethodName>(
    method: Method,
    params: RpcMethods[Method]['params'],
    options: CallOptions = {},
  ): Promise<RpcMethods[Method]['result']> {
    const timing = { timeoutMs: options.timeoutMs ?? DEFAULT_CALL_TIMEOUT_MS, ...pick(options.signal) };
    const id = this.#nextId;
    this.#nextId += 1;
    const response = await exchange(this.#address, {
      method: 'POST',
      path: '/jrpc',
      headers: this.#headers({ 'Content-Type': 'application/json', Accept: 'application/json' }),
      body: JSON.stringify({ jsonrpc: '2.0', method, params, id }),
      ...timing,
    });
    const text = await readBody(response, this.#address, timing);
    return resultOf(response.statusCode ?? 0, text, this.#address) as RpcMethods[Method]['result'];
  }

  /** What a job's container wrote, line by line; no faster than it is read. Fails with an `RpcError`. */
  async *streamLogs(jobId: string, options: LogStreamOptions = {}): AsyncGenerator<LogEntry> {
    const { follow = false, since, tail, timestamps = false, signal } = options;
    const query = new URLSearchParams();
    if (follow) query.set('follow', 'true');
    if (since !== undefined) query.set('since', since);
    if (tail !== undefined) query.set('tail', String(tail));
    if (timestamps) query.set('timestamps', 'true');
    const path = `/v1/jobs/${encodeURIComponent(jobId)}/logs?${query.toString()}`;
    try {
      const response = await this.#openStream(path, { Accept: 'application/x-ndjson' }, signal);
      yield* readEntries(response);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  }

  /** What happens to jobs, in order. Fails with an `RpcError`. */
  streamEvents(options: EventStreamOptions = {}): AsyncGenerator<EventMessage> {
    const path = options.allNodes === true ? '/v1/events?all_nodes' : '/v1/events';
    const open = (lastEventId: string): Promise<IncomingMessage> => {
      const position: Record<string, string> = lastEventId === '' ? {} : { 'Last-Event-ID': lastEventId };
      return this.#openStream(path, { Accept: 'text/event-stream', ...position }, options.signal);
    };
    return new EventFollower(open, options).messages();
  }

  async #openStream(
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const timing = { timeoutMs: DEFAULT_CALL_TIMEOUT_MS, ...pick(signal) };
    const call = { method: 'GET' as const, path, headers: this.#headers(headers), ...timing };
    const response = await exchange(this.#address, call);
    if (response.statusCode === 200) return response;
    const text = await readBody(response, this.#address, timing);
    throw httpError(response.statusCode ?? 0, text, this.#address);
  }

  #headers(headers: Readonly<Record<string, string>>): Record<string, string> {
    return this.#token === undefined
      ? { ...headers }
      : { ...headers, Authorization: `Bearer ${this.#token}` };
  }
}

function pick(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function* readEntries(response: IncomingMessage): AsyncGenerator<LogEntry> {
  const lines = new LineSplitter();
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      for (const line of lines.add(chunk)) yield entryOf(line);
    }
    const rest = lines.end();
    if (rest !== '') yield entryOf(rest);
  } catch (error) {
    throw brokenStream(error);
  } finally {
    response.destroy();
  }
}

function entryOf(line: string): LogEntry {
  try {
    return JSON.parse(line) as LogEntry;
  } catch (error) {
    throw new RpcError('bad_reply', 'the node sent a log line that is not JSON', { cause: error });
  }
}
