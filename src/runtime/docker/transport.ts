import http from 'node:http';
import https from 'node:https';
import type Docker from 'dockerode';
import { EngineStatusError, UnreadableReplyError } from './reply-errors.ts';

/**
 * How requests get to the engine and replies back. dockerode builds the requests; its own way of carrying them out
 * reads replies of any size, does not settle when a reply breaks off, and opens a connection for each call. This one
 * reads no more than a bounded reply, always settles, and keeps connections.
 */

/** Largest reply that is read as a whole: the list of some 20,000 containers. */
export const MAX_REPLY_BYTES = 32 * 1024 ** 2;
/** Enough of an error reply to know what is meant. */
const MAX_ERROR_REPLY_BYTES = 64 * 1024;
const MAX_ENGINE_MESSAGE_LENGTH = 2000;
/** Short calls under way at once; further ones wait for a connection, within their time limit. */
const MAX_CONNECTIONS = 128;
const MAX_IDLE_CONNECTIONS = 16;
const IDLE_CONNECTION_MS = 30_000;

/** Answered when the container has ended, which takes it as long as it likes: short calls must not wait for that. */
const LASTING_CALL = /\/containers\/[^/]+\/(?:stop|wait)(?:\?|$)/;

/** What dockerode asks of its modem, as far as it is used here. */
interface DialedCall {
  readonly method: string;
  readonly path: string;
  readonly isStream?: boolean;
  readonly statusCodes: Readonly<Record<number, unknown>>;
  readonly options?: { abortSignal?: AbortSignal };
  abortSignal?: AbortSignal;
}

type DialCallback = (error: unknown, result: unknown) => void;

interface Modem {
  dial(call: DialedCall, callback: DialCallback): void;
  buildRequest(request: http.RequestOptions, call: DialedCall, body: unknown, callback: DialCallback): void;
}

/** Connections to one engine. */
export interface Agents extends Disposable {
  readonly isSecure: boolean;
  /** Kept between calls. */
  readonly calls: http.Agent;
  /** For streams and calls that last: each has a connection of its own as long as it lives. */
  readonly lasting: http.Agent;
}

export function makeAgents(isSecure: boolean): Agents {
  const Agent = isSecure ? https.Agent : http.Agent;
  const calls = new Agent({
    keepAlive: true,
    maxSockets: MAX_CONNECTIONS,
    maxFreeSockets: MAX_IDLE_CONNECTIONS,
    timeout: IDLE_CONNECTION_MS,
    scheduling: 'lifo',
  });
  const lasting = new Agent({ keepAlive: false });
  return {
    isSecure,
    calls,
    lasting,
    [Symbol.dispose]: () => {
      calls.destroy();
      lasting.destroy();
    },
  };
}

/** Makes `docker` carry its calls out in our way. */
export function installTransport(docker: Docker, agents: Agents): void {
  const modem = docker.modem as unknown as Modem;
  const dial = modem.dial.bind(modem);
  modem.dial = (call, callback) => {
    // Some of dockerode's calls leave the signal among the query's options.
    const signal = call.abortSignal ?? call.options?.abortSignal;
    if (signal !== undefined) call.abortSignal = signal;
    dial(call, callback);
  };
  modem.buildRequest = (request, call, body, callback) => {
    exchange(agents, request, call, typeof body === 'string' ? body : undefined).then(
      (result) => callback(null, result),
      (error: unknown) => callback(error, null),
    );
  };
}

async function exchange(
  agents: Agents,
  request: http.RequestOptions,
  call: DialedCall,
  body: string | undefined,
): Promise<unknown> {
  const isStream = call.isStream === true;
  const sending: Sending = {
    isSecure: agents.isSecure,
    request,
    body,
    agent: isStream || LASTING_CALL.test(call.path) ? agents.lasting : agents.calls,
  };
  let response: http.IncomingMessage;
  try {
    response = await send(sending);
  } catch (error) {
    // A kept connection may have been closed while the request was on its way. Asking again changes nothing.
    if (call.method !== 'GET' || !(error instanceof StaleConnectionError)) throw error;
    response = await send({ ...sending, agent: agents.lasting });
  }
  const status = response.statusCode ?? 0;
  if (call.statusCodes[status] !== true) throw await readError(response, status);
  return isStream ? response : readJson(await readBody(response, MAX_REPLY_BYTES));
}

interface Sending {
  readonly isSecure: boolean;
  readonly request: http.RequestOptions;
  readonly body: string | undefined;
  readonly agent: http.Agent;
}

class StaleConnectionError extends Error {
  readonly code = 'ECONNRESET';
}

/** Resolves when the head of the reply is there. */
function send({ isSecure, request, body, agent }: Sending): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = (isSecure ? https : http).request({ ...request, agent });
    sent.on('response', (response) => {
      // Whoever reads it learns of errors; while nobody does, they must not end the process.
      response.on('error', () => undefined);
      resolve(response);
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = sent.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(isStale ? new StaleConnectionError(error.message, { cause: error }) : error);
    });
    sent.on('close', () =>
      reject(new UnreadableReplyError('the engine closed the connection without a reply')),
    );
    sent.end(body);
  });
}

async function readBody(response: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes)
      throw new UnreadableReplyError(`the engine's reply is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

/** Never null: dockerode looks into what it is handed without asking. */
function readJson(body: Buffer): unknown {
  if (body.length === 0) return '';
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw new UnreadableReplyError("the engine's reply is not JSON", { cause: error });
  }
  if (value === null) throw new UnreadableReplyError("the engine's reply is null");
  return value;
}

async function readError(response: http.IncomingMessage, status: number): Promise<EngineStatusError> {
  const text = (await readBody(response, MAX_ERROR_REPLY_BYTES)).toString();
  return new EngineStatusError(status, engineMessage(text).slice(0, MAX_ENGINE_MESSAGE_LENGTH));
}

function engineMessage(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // A proxy in front of the engine answers in plain text.
  }
  return text.trim() === '' ? 'the engine gave no reason' : text.trim();
}
