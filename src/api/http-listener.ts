import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { Server as NetServer } from 'node:net';
import { sleep } from '../kernel/clock.ts';
import { FrontDoor, type DoorRequest } from '../frontdoor/front-door.ts';
import { sendRefusal, type Refusal as DoorRefusal } from '../frontdoor/refusal.ts';
import type { Access, Refusal } from './access.ts';
import { answerClientError } from './client-error.ts';
import type { DoorAccess } from './door-access.ts';
import { type Connection, Connections } from './connections.ts';
import { Exchange } from './exchange.ts';
import type { RequestHead } from './head.ts';
import { readHead } from './head.ts';
import type { ApiLimits } from './limits.ts';
import type { ApiDependencies } from './ports.ts';
import { allowOrigin, answerPreflight, isPreflight, refuse } from './refusals.ts';
import { sendProblem } from './replies.ts';
import { RPC_PATH } from './rpc-route.ts';
import { checkHead, readTarget } from './request-checks.ts';

export interface TlsOptions {
  /** PEM. */
  readonly key: string | Buffer;
  /** PEM, with the certificates in between. */
  readonly cert: string | Buffer;
}

export interface HttpListenerOptions {
  readonly listenAddress: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly tls?: TlsOptions;
  readonly limits: ApiLimits;
}

export interface HttpListenerDependencies extends Pick<ApiDependencies, 'logger' | 'metrics' | 'clock'> {
  readonly access: Access;
  /** Answers a request that was let in. */
  readonly handle: (exchange: Exchange) => void;
  /** Called once, when nothing new is accepted any more. */
  readonly onStopping: () => void;
  /** Takes connections that ask to be led to a container; without it such a request is one like any other. */
  readonly door?: ListenerDoor;
}

export interface ListenerDoor {
  readonly access: DoorAccess;
  /** Why nobody is led anywhere just now. */
  readonly closedBecause: () => DoorRefusal | undefined;
  readonly serve: (request: DoorRequest) => Promise<void>;
}

/** Node's own bound on the head, a last resort: ours are exact, and answer in full. */
const HEAD_BACKSTOP_BYTES = 64 * 1024;

/** A kept-alive connection may just be bringing its next request; it has so long to do that when the node stops. */
const IDLE_LINGER_MS = 200;

export interface CloseOptions {
  /** For requests under way to be answered. */
  readonly graceMs: number;
  /** Ends the grace at once. */
  readonly signal?: AbortSignal;
}

/** The HTTP around the API: limits, who is let in, and an orderly end. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #deps: HttpListenerDependencies;
  readonly #server: Server;
  readonly #connections: Connections;
  /** Connections below TLS, which may not have got as far as being one of HTTP. */
  readonly #handshakes = new Set<Socket>();
  #isStopping = false;
  #closing: Promise<void> | undefined;

  constructor(options: HttpListenerOptions, deps: HttpListenerDependencies) {
    this.#options = options;
    this.#deps = deps;
    const { limits, tls } = options;
    this.#connections = new Connections({ maxPerAddress: limits.maxConnectionsPerAddress }, deps);
    const settings = {
      maxHeaderSize: HEAD_BACKSTOP_BYTES,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.connectionsCheckingIntervalMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      shouldUpgradeCallback: (request: IncomingMessage) => this.#isForDoor(request),
    };
    const tlsSettings = {
      ...settings,
      ...tls,
      minVersion: 'TLSv1.2' as const,
      handshakeTimeout: limits.headersTimeoutMs,
    };
    this.#server = tls === undefined ? createServer(settings) : createTlsServer(tlsSettings);
    this.#server.maxConnections = limits.maxConnections;
    this.#listenToServer(tls !== undefined);
  }

  /** Resolves with what it really listens on. Fails as `net.Server.listen` does, for example with EADDRINUSE. */
  async listen(): Promise<{ address: string; port: number }> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen({ host: this.#options.listenAddress, port: this.#options.port }, resolve);
    await promise;
    this.#server.off('error', reject);
    this.#server.on('error', (error) => this.#deps.logger.error({ err: error }, 'listener failed'));
    const { address, port } = this.#server.address() as AddressInfo;
    return { address, port };
  }

  /**
   * Accepts nothing new, ends the streams, lets requests under way be answered, and destroys what is left when the
   * grace is over or the signal is aborted. Every call resolves when the first one has come to its end.
   */
  close(options: CloseOptions): Promise<void> {
    options.signal?.addEventListener('abort', () => this.#connections.destroyAll(), { once: true });
    if (options.signal?.aborted === true) this.#connections.destroyAll();
    this.#closing ??= this.#stop(options.graceMs);
    return this.#closing;
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock, logger } = this.#deps;
    this.#isStopping = true;
    const closed = this.#server.listening
      ? // Node's HTTP server ends kept-alive connections as it closes, and with them what they were just bringing.
        new Promise<void>((resolve) => NetServer.prototype.close.call(this.#server, () => resolve()))
      : Promise.resolve();
    this.#deps.onStopping();
    const empty = this.#connections.whenEmpty();
    const lingerMs = Math.min(graceMs, IDLE_LINGER_MS);
    await Promise.race([empty, sleep(clock, lingerMs)]);
    this.#connections.destroyIdle();
    await Promise.race([empty, sleep(clock, graceMs - lingerMs)]);
    if (this.#connections.size > 0) {
      logger.warn({ connections: this.#connections.size, graceMs }, 'connections ended by force');
      this.#connections.destroyAll();
    }
    for (const socket of this.#handshakes) socket.destroy();
    await Promise.all([empty, closed]);
    // Only this ends the timer that looks for slow connections.
    this.#server.close();
  }

  #listenToServer(isTls: boolean): void {
    const server = this.#server;
    if (isTls) {
      server.on('connection', (socket) => {
        this.#handshakes.add(socket);
        socket.once('close', () => this.#handshakes.delete(socket));
      });
    }
    server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
      if (!this.#connections.open(socket)) this.#deps.metrics.refused('connections_per_address');
    });
    server.on('drop', () => this.#deps.metrics.refused('connections'));
    server.on('request', (request, response) => this.#receive(request, response, false));
    server.on('checkContinue', (request, response) => this.#receive(request, response, true));
    server.on('upgrade', (request, socket: Socket, head) => this.#upgrade(request, socket, head));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const connection = this.#connections.of(socket as Socket);
      // Before the end of a handshake there is nobody to answer to, and nothing to be sent.
      if (connection === undefined) socket.destroy();
      else answerClientError(error, connection.socket, connection.inFlight > 0);
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const connection = this.#connections.of(request.socket);
    // It was refused as a connection, and is being destroyed.
    if (connection === undefined) return;
    connection.inFlight += 1;
    response.on('close', this.#onAnswered);
    if (this.#isStopping) response.shouldKeepAlive = false;
    const head = readHead(request.rawHeaders);
    const exchange = this.#admit(request, response, head, expectsContinue);
    if (exchange !== undefined) this.#deps.handle(exchange);
  }

  /** Any other wish to upgrade, such as that of curl for HTTP/2, is passed over: its request is answered as if it had none. */
  #isForDoor({ url = '', headers, httpVersion, socket }: IncomingMessage): boolean {
    const path = readTarget(url)?.path ?? '';
    if (this.#deps.door === undefined || !FrontDoor.isFor(path, headers.upgrade)) return false;
    // An answer that is still owed would come in the middle of the WebSocket. HTTP/1.0 knows of no upgrade.
    return httpVersion === '1.1' && this.#connections.of(socket)?.inFlight === 0;
  }

  /** From here on the connection is the front door's, or is refused. */
  #upgrade(request: IncomingMessage, socket: Socket, following: Buffer): void {
    const connection = this.#connections.of(socket);
    const { door, logger } = this.#deps;
    if (connection === undefined || door === undefined) return void socket.destroy();
    connection.inFlight += 1;
    const head = readHead(request.rawHeaders);
    const client = socket.remoteAddress ?? '';
    const refusal =
      door.closedBecause() ??
      this.#foreignHead(request, head) ??
      asDoor(door.access.check(connection.peer, client, head));
    if (refusal !== undefined) {
      this.#deps.metrics.refused(`door_${refusal.status}`);
      return sendRefusal(socket, refusal);
    }
    this.#connections.release(socket);
    const { method, url = '', rawHeaders } = request;
    const query = readTarget(url)?.query ?? '';
    door.serve({ socket, head: following, method, query, rawHeaders, client }).catch((error: unknown) => {
      logger.error({ err: error }, 'front door failed');
      socket.destroy();
    });
  }

  #foreignHead(request: IncomingMessage, head: RequestHead): DoorRefusal | undefined {
    const problem = checkHead(request, head, this.#options.limits);
    return problem === undefined ? undefined : { status: problem.status, text: problem.detail };
  }

  /** The exchange, or `undefined` after a refusal has been answered. */
  #admit(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    expectsContinue: boolean,
  ): Exchange | undefined {
    const { access, metrics } = this.#deps;
    const target = readTarget(request.url ?? '');
    const isRpc = target?.path === RPC_PATH;
    const isOtherHost = target?.authority !== undefined && target.authority !== head.host;
    const foreign = access.checkOrigin(isOtherHost ? { ...head, host: undefined } : head);
    if (foreign !== undefined) return void refuse(response, foreign, isRpc, metrics);
    const problem = checkHead(request, head, this.#options.limits);
    if (problem !== undefined) {
      // What follows on this connection cannot be trusted to be a request.
      response.shouldKeepAlive = false;
      metrics.refused(problem.reason);
      return void sendProblem(response, problem);
    }
    if (head.origin !== undefined) allowOrigin(response, head.origin);
    if (isPreflight(request, head)) return void answerPreflight(response);
    const peer = this.#connections.of(request.socket)?.peer ?? access.peerOf('');
    const caller = access.authenticate(peer, head);
    if ('status' in caller) return void refuse(response, caller, isRpc, metrics);
    const { path = '', query = '' } = target ?? {};
    return new Exchange({ request, response, head, caller, path, query, expectsContinue });
  }

  /** A client that was told it may go on, before the node began to stop, may just be sending its next request. */
  #endSoon(connection: Connection, mayGoOn: boolean): void {
    if (!mayGoOn) return connection.socket.destroySoon();
    connection.isLingering = true;
    this.#deps.clock.after(IDLE_LINGER_MS, () => {
      if (connection.inFlight === 0) connection.socket.destroySoon();
    });
  }

  /** Shared by all responses, whose `this` it gets. */
  readonly #onAnswered = ((listener: HttpListener) =>
    function (this: ServerResponse): void {
      const connection = listener.#connections.of(this.req.socket);
      if (connection === undefined) return;
      connection.inFlight -= 1;
      if (listener.#isStopping && connection.inFlight === 0)
        listener.#endSoon(connection, this.shouldKeepAlive);
    })(this);
}

function asDoor(refusal: Refusal | undefined): DoorRefusal | undefined {
  if (refusal === undefined) return undefined;
  const { status, message, retryAfterMs } = refusal;
  const headers = status === 401 ? ['WWW-Authenticate', 'Bearer'] : [];
  return { status, text: message, headers, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
