import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Upstream } from '../instances/instances.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import type { Handshake } from './handshake.ts';
import type { Refusal } from './refusal.ts';
import { Refused } from './refused.ts';

/** An upstream that has agreed to speak WebSocket. */
export interface UpstreamConnection {
  readonly socket: Socket;
  /** What came right behind the answer. */
  readonly head: Buffer;
  /** What is passed on of the answer: name, value, name, value. */
  readonly fields: readonly string[];
}

export interface DialOptions {
  readonly upstream: Upstream;
  /** With the query. */
  readonly path: string;
  readonly handshake: Pick<Handshake, 'key' | 'passedOn'>;
  /** For all of it, ms. */
  readonly limitMs: number;
}

/** Between two tries at one that does not accept connections yet, ms. */
const RETRY_PAUSE_MS = 50;
/** A connection that is refused for longer will not be accepted. */
const RETRY_LIMIT_MS = 3_000;
/** Longest head of an answer, and of a refusal's text, bytes. */
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_TEXT_BYTES = 4 * 1024;
/** Sent to a dead peer that is silent, so that it is found out, ms. */
const KEEP_ALIVE_MS = 15_000;

const PASSED_BACK: ReadonlySet<string> = new Set([
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]);

/**
 * Opens a WebSocket to an instance with the client's own key, so that the client can check the answer as it is. Fails with a
 * `Refused`, or with the signal's reason.
 */
export async function dialUpstream(
  options: DialOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  using limited = new LinkedSignal([signal], { clock, limitMs: options.limitMs });
  const startedMs = clock.monotonicMs();
  for (;;) {
    try {
      return await dial(options, limited.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (limited.isTimedOut) throw gaveNoAnswer(options.limitMs);
      const isOver = clock.monotonicMs() - startedMs >= RETRY_LIMIT_MS;
      if (error instanceof Refused || isOver || !isNotThereYet(error)) throw asRefusal(error);
    }
    await sleep(clock, RETRY_PAUSE_MS, limited.signal).catch(() => undefined);
  }
}

function dial({ upstream, path, handshake }: DialOptions, signal: AbortSignal): Promise<UpstreamConnection> {
  const { host, port } = upstream;
  const asked = request({
    host,
    port,
    path,
    agent: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    headers: [
      ...['Host', `${host.includes(':') ? `[${host}]` : host}:${port}`],
      ...['Upgrade', 'websocket', 'Connection', 'Upgrade'],
      ...['Sec-WebSocket-Key', handshake.key, 'Sec-WebSocket-Version', '13'],
      ...handshake.passedOn,
    ],
    createConnection: () =>
      connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }),
    signal,
  });
  asked.end();
  return answerOf(asked);
}

function answerOf(asked: ClientRequest): Promise<UpstreamConnection> {
  return new Promise((resolve, reject) => {
    asked.once('error', reject);
    asked.once('upgrade', (response, socket, head) => {
      // Until somebody else listens: without anybody an error would end the process.
      socket.on('error', () => undefined);
      const fields = fieldsOf(response);
      if (fields === undefined) {
        socket.destroy();
        reject(
          new Refused({
            status: 502,
            text: 'the controller answered with something that is no WebSocket',
          }),
        );
      } else resolve({ socket: socket as Socket, head, fields });
    });
    asked.once('response', (response) => {
      textOf(response).then((text) => {
        asked.destroy();
        reject(new Refused(refusalOf(response.statusCode ?? 0, text)));
      }, reject);
    });
  });
}

/** Undefined for an answer that no client could take for one. */
function fieldsOf({ statusCode, headers, rawHeaders }: IncomingMessage): string[] | undefined {
  if (statusCode !== 101 || headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const fields: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (PASSED_BACK.has(name.toLowerCase())) fields.push(name, rawHeaders[index + 1] as string);
  }
  return headers['sec-websocket-accept'] === undefined ? undefined : fields;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_TEXT_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_TEXT_BYTES).toString('utf8').trim();
}

/** What the instance itself says counts; what is no refusal at all is one of a bad gateway. */
function refusalOf(status: number, text: string): Refusal {
  if (status >= 400 && status < 600)
    return { status, text: text === '' ? `the controller answered ${status}` : text };
  return { status: 502, text: `the controller answered ${status}, not with a WebSocket` };
}

/** Nobody listens, or who did went away before it was asked anything. */
function isNotThereYet(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EHOSTUNREACH';
}

function gaveNoAnswer(limitMs: number): Refused {
  return new Refused({ status: 504, text: `the controller gave no answer within ${limitMs} ms` });
}

function asRefusal(error: unknown): Refused {
  if (error instanceof Refused) return error;
  const text = `the controller cannot be reached: ${messageOf(error)}`;
  return new Refused({ status: 502, text }, { cause: error });
}
