import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { RawWebSocket } from './raw-web-socket.ts';

export interface ServerScript {
  /** PEM; with it the server speaks TLS. */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer };
  /** What to do with a connection that was upgraded. */
  readonly onWebSocket?: (webSocket: RawWebSocket, request: IncomingMessage) => void | Promise<void>;
  /** Answers a request for an upgrade by HTTP instead; given back `false`, it is upgraded. */
  readonly onRequest?: (request: IncomingMessage, socket: Socket) => boolean;
}

/** A server on loopback whose side of every WebSocket a test writes itself: it does what no server in use does. */
export class ScriptedServer implements AsyncDisposable {
  /** Every request for an upgrade, in order. */
  readonly requests: IncomingMessage[] = [];
  /** What a script threw. */
  readonly failures: unknown[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(script: ServerScript = {}): Promise<ScriptedServer> {
    const http = script.tls === undefined ? createServer() : createTlsServer(script.tls);
    http.on('request', (_request, response) => response.writeHead(404).end());
    const server = new ScriptedServer(http);
    http.on('upgrade', (request, socket, rest) => server.#upgrade(script, request, socket as Socket, rest));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #upgrade(script: ServerScript, request: IncomingMessage, socket: Socket, rest: Buffer): void {
    this.requests.push(request);
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (script.onRequest?.(request, socket) === true) return;
    const webSocket = RawWebSocket.accept(request, socket, rest);
    void this.#run(script, webSocket, request);
  }

  async #run(script: ServerScript, webSocket: RawWebSocket, request: IncomingMessage): Promise<void> {
    try {
      await script.onWebSocket?.(webSocket, request);
    } catch (error) {
      this.failures.push(error);
    }
  }
}
