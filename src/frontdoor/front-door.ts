import type { Socket } from 'node:net';
import { InstanceError } from '../instances/errors.ts';
import { sleep } from '../kernel/clock.ts';
import { InvariantError, messageOf } from '../kernel/errors.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { asksForWebSocket, readHandshake, type Handshake } from './handshake.ts';
import {
  DOOR_PATH,
  LocalOpener,
  type LocalOpenerDependencies,
  type LocalOpenerOptions,
} from './local-opener.ts';
import type { Channel, Opened, Wish } from './opening.ts';
import { readQuery } from './query.ts';
import { headOf, sendRefusal, type Refusal } from './refusal.ts';
import { refusalOf, Refused } from './refused.ts';
import { Sessions, type SessionsOptions, type SessionView } from './sessions.ts';
import { withSharedReading } from './shared-reading.ts';
import { splice } from './splice.ts';
import { WaitingClient } from './waiting-client.ts';

export interface FrontDoorOptions extends LocalOpenerOptions, SessionsOptions {
  /** Origins of web pages that may connect; a client that is no browser sends none. */
  readonly allowedOrigins: readonly string[];
  /** Connections at once, those that wait included. */
  readonly maxSessions: number;
}

/** A request to be led to a container, after the listener has let it in as one of HTTP. */
export interface DoorRequest {
  readonly socket: Socket;
  /** What came behind the request's head. */
  readonly head: Buffer;
  readonly method: string | undefined;
  /** As it was sent, without the question mark. */
  readonly query: string;
  readonly rawHeaders: readonly string[];
  /** Address of the client. */
  readonly client: string;
}

export interface FrontDoorTelemetry {
  /** One request was answered with 101, so long after it came. `controller` is an entry of the catalog, or `job`. */
  doorOpened(controller: string, durationMs: number): void;
  doorRefused(status: number): void;
}

/** The way to containers of other nodes. */
export interface Elsewhere {
  /** Undefined when this node is the one to do it, or to refuse it. */
  open(wish: Wish, signal: AbortSignal): Promise<Opened | undefined>;
}

export interface FrontDoorDependencies extends LocalOpenerDependencies {
  readonly logger: {
    info(facts: object, message: string): void;
    warn(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
  readonly telemetry: FrontDoorTelemetry;
  /** Told of a broken invariant; whoever runs the process decides what becomes of it. */
  readonly onInvariantError: (error: InvariantError) => void;
}

/** When one that finds no place may come again, ms. */
const RETRY_AFTER_MS = 5_000;
/** Of silence before a client is asked whether it is there; after ten questions, one a second, it is not, ms. */
const KEEP_ALIVE_MS = 15_000;

/**
 * Leads clients to their containers. A client is answered only once its container has answered: what goes wrong before is a status
 * with a reason, what goes wrong after is the end of both connections.
 */
export class FrontDoor implements Disposable {
  readonly #options: FrontDoorOptions;
  readonly #deps: FrontDoorDependencies;
  readonly #local: LocalOpener;
  readonly #sessions: Sessions;
  readonly #subscription: Disposable;
  readonly #draining = new AbortController();
  #elsewhere: Elsewhere | undefined;
  #waitingCount = 0;

  constructor(options: FrontDoorOptions, deps: FrontDoorDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#local = new LocalOpener(options, deps);
    this.#sessions = new Sessions(options, deps);
    this.#subscription = deps.instances.onLost((lease) => this.#sessions.closeLease(lease));
  }

  /** Whether a request to upgrade is one for the front door; any other is answered as if it did not ask. */
  static isFor(path: string, upgrade: string | undefined): boolean {
    return path === DOOR_PATH && asksForWebSocket(upgrade);
  }

  /** From now on clients are also led to other nodes. */
  leadElsewhere(elsewhere: Elsewhere): void {
    this.#elsewhere = elsewhere;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  sessions(): SessionView[] {
    return this.#sessions.list();
  }

  /** Ends a session. False when there is none of this id. */
  closeSession(id: string): boolean {
    return this.#sessions.close(id);
  }

  /** Takes the connection over. Resolves when it is led somewhere, or has been refused. */
  async serve(request: DoorRequest): Promise<void> {
    const { socket, client } = request;
    const startedMs = this.#deps.clock.monotonicMs();
    let opened: Opened | undefined;
    try {
      opened = await this.#counted(() => this.#openFor(request));
      if (opened === undefined) return;
      const durationMs = this.#deps.clock.monotonicMs() - startedMs;
      this.#deps.telemetry.doorOpened(opened.controller ?? 'job', durationMs);
      this.#connect(withSharedReading(socket), opened, client);
    } catch (error) {
      sendRefusal(socket, this.#refusalOf(error, client));
    }
  }

  /**
   * The same for a client of another node, which has let it in and waits for the answer itself: `answer` passes it on and gives the way
   * to the client, or undefined when that has gone. Only containers of this node are looked for. Resolves when all is over.
   */
  async serveRemote(
    wish: Wish,
    signal: AbortSignal,
    answer: (outcome: Opened | Refusal) => Promise<Channel | undefined>,
  ): Promise<void> {
    let opened: Opened;
    try {
      opened = await this.#counted(() => this.#openLocally(wish, signal));
    } catch (error) {
      if (signal.aborted) return;
      await answer(this.#refusalOf(error, wish.client));
      return;
    }
    const channel = await answer(opened).catch(() => undefined);
    if (channel !== undefined)
      return new Promise((resolve) => this.#connect(channel, opened, wish.client, resolve));
    opened.channel.destroy();
    this.#release(opened);
  }

  /** Leads nobody anywhere any more; sessions may end by themselves within the grace, and are ended then. */
  async drain(graceMs: number, force: AbortSignal): Promise<void> {
    const message = 'the node is shutting down; connect again when it is back';
    this.#draining.abort(new InstanceError('draining', message, { retryable: true }));
    const empty = this.#sessions.whenEmpty();
    await Promise.race([empty, sleep(this.#deps.clock, graceMs, force).catch(() => undefined)]);
    this.#sessions.closeAll();
    await empty;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#sessions[Symbol.dispose]();
  }

  /** Undefined when the client left meanwhile. */
  async #openFor(request: DoorRequest): Promise<Opened | undefined> {
    const { socket, head, client: address } = request;
    const handshake = this.#admit(request);
    const wish = { query: readQuery(request.query), handshake, client: address };
    using client = new WaitingClient(socket, head);
    using linked = new LinkedSignal([client.signal, this.#draining.signal]);
    try {
      const opened =
        (await this.#elsewhere?.open(wish, linked.signal)) ?? (await this.#local.open(wish, linked.signal));
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.write(headOf(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...opened.fields]));
      if (opened.head.length > 0) socket.write(opened.head);
      if (client.early.length > 0) opened.channel.write(client.early);
      return opened;
    } catch (error) {
      if (!client.signal.aborted) throw error;
      socket.destroy();
      return undefined;
    }
  }

  async #openLocally(wish: Wish, signal: AbortSignal): Promise<Opened> {
    this.#requirePlace();
    using linked = new LinkedSignal([signal, this.#draining.signal]);
    return await this.#local.open(wish, linked.signal);
  }

  /** Until one of the two has gone. */
  #connect(channel: Channel, opened: Opened, client: string, onEnd?: () => void): void {
    const { controller, job, lease } = opened;
    const session = this.#sessions.add({
      ...{ channel, upstream: opened.channel, client, controller, job, lease },
    });
    splice(channel, opened.channel, () => {
      this.#sessions.remove(session);
      this.#release(session);
      onEnd?.();
    });
  }

  #release({ lease }: Pick<Opened, 'lease'>): void {
    if (lease !== undefined) this.#local.release(lease);
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#waitingCount += 1;
    try {
      return await work();
    } finally {
      this.#waitingCount -= 1;
    }
  }

  #admit({ method, rawHeaders }: DoorRequest): Handshake {
    const handshake = readHandshake(method, rawHeaders);
    if ('status' in handshake) throw new Refused(handshake);
    if (handshake.origin !== undefined && !this.#options.allowedOrigins.includes(handshake.origin)) {
      const text =
        'web pages may not connect: add the origin of this one to frontdoor.allowed_origins to let it';
      throw new Refused({ status: 403, text });
    }
    this.#requirePlace();
    return handshake;
  }

  #requirePlace(): void {
    this.#draining.signal.throwIfAborted();
    const { maxSessions } = this.#options;
    // Whoever asks is counted already.
    if (this.#sessions.size + this.#waitingCount <= maxSessions) return;
    const text = `${maxSessions} connections are open already (frontdoor.max_sessions)`;
    throw new Refused({ status: 503, text, retryAfterMs: RETRY_AFTER_MS });
  }

  #refusalOf(error: unknown, client: string): Refusal {
    const refusal = refusalOf(error) ?? this.#failed(error);
    const { status, text: reason } = refusal;
    this.#deps.telemetry.doorRefused(status);
    this.#deps.logger.info({ client, status, reason }, 'connection refused');
    return refusal;
  }

  #failed(error: unknown): Refusal {
    this.#deps.logger.error({ err: error }, 'front door failed');
    if (error instanceof InvariantError) this.#deps.onInvariantError(error);
    return { status: 500, text: `the node failed: ${messageOf(error)}` };
  }
}
