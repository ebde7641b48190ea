import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageOf } from '../../../src/kernel/errors.ts';

const PROTOCOL_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY_BYTES = 16;
const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = '0\r\n\r\n';
const MAX_HEAD_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 1024 ** 2;
/** How long other clients wait for an answer; a test names its own where it matters, ms. */
const DEFAULT_HANDSHAKE_LIMIT_MS = 45_000;

export interface UpgradeRequest {
  readonly host: string;
  readonly port: number;
  /** What is asked for, query and all; sent as it stands. */
  readonly target: string;
  /** More headers, or other values of the usual ones; `undefined` leaves one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly method?: string;
  /** Speaks TLS; `ca` is whom to trust besides those whom this machine does. */
  readonly tls?: { readonly ca?: Buffer };
  /** From the first byte of the connection to the last of the answer. */
  readonly limitMs?: number;
}

export interface HttpHead {
  readonly status: number;
  /** Names in lower case; of several of one name the last. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Upgraded {
  readonly socket: Socket;
  /** The TCP connection itself, where `socket` speaks TLS over it. */
  readonly transport: Socket;
  readonly head: HttpHead;
  /** What came after the head already. */
  readonly rest: Buffer;
}

/** No WebSocket came of it, and no answer either, or none of HTTP. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
}

/** The answer was another one than 101. */
export class UpgradeRefusedError extends Error {
  override readonly name = 'UpgradeRefusedError';
  readonly status: number;
  readonly headers: HttpHead['headers'];
  readonly body: string;

  constructor(head: HttpHead, body: string) {
    super(`the upgrade was refused with ${head.status}: ${body.trimEnd()}`);
    this.status = head.status;
    this.headers = head.headers;
    this.body = body;
  }
}

/**
 * Asks for a WebSocket over a new TCP connection, and gives it back with nothing more read than is in `rest`. Its other
 * side may end its half first.
 */
export async function openUpgrade(request: UpgradeRequest): Promise<Upgraded> {
  const { limitMs = DEFAULT_HANDSHAKE_LIMIT_MS } = request;
  const key = randomBytes(KEY_BYTES).toString('base64');
  const { host, port, tls } = request;
  const transport = connect({ host, port, allowHalfOpen: true, noDelay: true });
  const socket = tls === undefined ? transport : connectTls({ ...tls, host, socket: transport });
  const timer = setTimeout(() => {
    socket.destroy(new HandshakeError(`no answer to the upgrade within ${limitMs} ms`));
  }, limitMs);
  try {
    socket.write(requestText(request, key));
    const { head, rest } = await readHead(socket);
    if (head.status !== 101) throw new UpgradeRefusedError(head, await readBody(socket, head, rest));
    checkAccept(head, key);
    return { socket, transport, head, rest };
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    if (error instanceof UpgradeRefusedError || error instanceof HandshakeError) throw error;
    throw new HandshakeError(`the handshake failed: ${messageOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Answers an `upgrade` event of `node:http` with 101. */
export function acceptUpgrade(request: IncomingMessage, socket: Socket, rest: Buffer): Upgraded {
  const accept = acceptOf(request.headers['sec-websocket-key'] ?? '');
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`].join('\r\n') + HEAD_END);
  return { socket, transport: socket, head: { status: 101, headers: {} }, rest };
}

function requestText(request: UpgradeRequest, key: string): string {
  const headers: Readonly<Record<string, string | undefined>> = {
    Host: `${request.host}:${request.port}`,
    'User-Agent': 'Go-http-client/1.1',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
    Upgrade: 'websocket',
    ...request.headers,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return [`${request.method ?? 'GET'} ${request.target} HTTP/1.1`, ...lines].join('\r\n') + HEAD_END;
}

/** Reads until `isEnough` says so of all that came, or until there is no more; the socket is paused then. */
async function readUntil(
  socket: Socket,
  start: Buffer,
  isEnough: (data: Buffer) => boolean,
): Promise<{ data: Buffer; hasEnded: boolean }> {
  let data = start;
  if (isEnough(data)) return { data, hasEnded: false };
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const onData = (chunk: Buffer): void => {
    data = Buffer.concat([data, chunk]);
    if (isEnough(data)) resolve(false);
  };
  const onEnd = (): void => resolve(true);
  const onClose = (): void => reject(new HandshakeError('the connection was closed'));
  socket.on('data', onData).on('end', onEnd).on('error', reject).on('close', onClose).resume();
  try {
    const hasEnded = await promise;
    socket.pause();
    return { data, hasEnded };
  } finally {
    socket.off('data', onData).off('end', onEnd).off('error', reject).off('close', onClose);
  }
}

async function readHead(socket: Socket): Promise<{ head: HttpHead; rest: Buffer }> {
  const { data, hasEnded } = await readUntil(
    socket,
    Buffer.alloc(0),
    (text) => text.includes(HEAD_END) || text.length > MAX_HEAD_BYTES,
  );
  const end = data.indexOf(HEAD_END);
  if (end === -1) {
    const what = hasEnded ? 'the connection ended' : 'too much came';
    throw new HandshakeError(`${what} before an answer of HTTP, after ${data.length} bytes`);
  }
  const [statusLine = '', ...lines] = data.toString('latin1', 0, end).split('\r\n');
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine) ?? [];
  if (status === undefined) throw new HandshakeError('the answer is not of HTTP');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { head: { status: Number(status), headers }, rest: data.subarray(end + HEAD_END.length) };
}

async function readBody(socket: Socket, head: HttpHead, rest: Buffer): Promise<string> {
  const length = head.headers['content-length'];
  const isChunked = head.headers['transfer-encoding'] === 'chunked';
  const neededBytes = length === undefined ? Infinity : Number(length);
  const { data } = await readUntil(socket, rest, (body) => {
    if (body.length > MAX_BODY_BYTES) return true;
    return isChunked ? body.toString('latin1').endsWith(LAST_CHUNK) : body.length >= neededBytes;
  });
  return (isChunked ? joinChunks(data) : data.subarray(0, neededBytes)).toString('utf8');
}

function joinChunks(data: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = data.indexOf('\r\n', at);
    const length = Number.parseInt(data.toString('latin1', at, lineEnd), 16);
    if (lineEnd === -1 || !(length > 0)) return Buffer.concat(pieces);
    pieces.push(data.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}

function checkAccept(head: HttpHead, key: string): void {
  if (head.headers['sec-websocket-accept'] !== acceptOf(key))
    throw new HandshakeError('the answer accepts another key than was sent');
}

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}${PROTOCOL_GUID}`).digest('base64');
}
