import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers one request: by `response`, or by bytes straight on the `socket`. */
export type FakeReply = (response: ServerResponse, socket: Socket, request: FakeRequest) => void;

export const VERSION_REPLY = {
  Version: '20.10.24',
  ApiVersion: '1.41',
  MinAPIVersion: '1.12',
  Arch: 'amd64',
};

/** A scripted Docker Engine on a unix socket. What it was not told to answer is a 404. */
export class FakeEngine implements AsyncDisposable {
  readonly #server: Server;
  readonly #directory: string;
  readonly #replies: { method: string; path: RegExp; reply: FakeReply }[] = [];
  readonly #sockets = new Set<Socket>();
  readonly requests: FakeRequest[] = [];
  /** Connections made to it so far. */
  connectionCount = 0;

  private constructor(server: Server, directory: string) {
    this.#server = server;
    this.#directory = directory;
  }

  static async start(): Promise<FakeEngine> {
    const directory = await mkdtemp(join(tmpdir(), 'cm-engine-'));
    const server = createServer({ keepAliveTimeout: 0 });
    const engine = new FakeEngine(server, directory);
    server.on('connection', (socket) => {
      engine.connectionCount += 1;
      engine.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => engine.#sockets.delete(socket));
    });
    server.on('request', (request, response) => void engine.#answer(request, response));
    server.listen(join(directory, 'engine.sock'));
    await once(server, 'listening');
    engine.on('GET', /^\/version$/, json(200, VERSION_REPLY));
    return engine;
  }

  get host(): string {
    return `unix://${this.#directory}/engine.sock`;
  }

  /** Connections open now. */
  get openCount(): number {
    return this.#sockets.size;
  }

  /** From now on; the newest that fits answers. The path is the engine's, without its version. */
  on(method: string, path: RegExp, reply: FakeReply): void {
    this.#replies.unshift({ method, path, reply });
  }

  /** Breaks all connections, as a restart does. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://engine');
    const path = url.pathname.replace(/^\/v1\.\d+\//, '/');
    let body = '';
    for await (const chunk of incoming as AsyncIterable<Buffer>) body += chunk.toString();
    const method = incoming.method ?? '';
    const request = { method, path, query: url.searchParams, headers: incoming.headers, body };
    this.requests.push(request);
    const match = this.#replies.find((candidate) => candidate.method === method && candidate.path.test(path));
    const reply = match?.reply ?? json(404, { message: `No such container: ${path}` });
    reply(response, incoming.socket, request);
  }
}

export function json(status: number, value: unknown): FakeReply {
  return text(status, JSON.stringify(value));
}

export function text(status: number, body: string | Buffer): FakeReply {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
  };
}

/** Exactly these bytes and, unless `keepOpen`, the end of the connection. */
export function raw(bytes: string, options: { keepOpen?: boolean } = {}): FakeReply {
  return (_response, socket) => {
    socket.write(bytes);
    if (options.keepOpen !== true) socket.end();
  };
}

/** A head that says 200, these bytes of a body, and then nothing more. */
export function unfinished(body: string | Buffer, end: 'open' | 'cut' | 'done'): FakeReply {
  return (response, socket) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    response.write(body, () => {
      if (end === 'done') response.end();
      // An error of the socket, not an orderly end.
      if (end === 'cut') socket.destroy();
    });
  };
}

/** A body without end, as fast as it is taken. */
export function endless(piece: Buffer): FakeReply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.on('error', () => undefined);
    const push = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', push);
    push();
  };
}
