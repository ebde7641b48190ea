import type { Socket } from 'node:net';
import { CatalogError, type CatalogErrorCode } from '../catalog/errors.ts';
import type { ControllerQuery, Resolution } from '../catalog/selection.ts';
import { templateOf, type TemplateDefaults } from '../instances/controller-template.ts';
import { InstanceError, type InstanceErrorCode } from '../instances/errors.ts';
import type { Instances, Lease, Upstream } from '../instances/instances.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { InvariantError, messageOf } from '../kernel/errors.ts';
import { isJobId, type JobId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { asksForWebSocket, readHandshake, type Handshake } from './handshake.ts';
import { QueryError, readQuery, type DoorQuery } from './query.ts';
import { headOf, sendRefusal, type Refusal } from './refusal.ts';
import { Sessions, type SessionView } from './sessions.ts';
import { splice } from './splice.ts';
import { dialUpstream, type UpstreamConnection, UpstreamRefusal } from './upstream.ts';
import { WaitingClient } from './waiting-client.ts';

export const DOOR_PATH = '/ws';

export interface FrontDoorOptions {
  readonly defaults: TemplateDefaults;
  /** Origins of web pages that may connect; a client that is no browser sends none. */
  readonly allowedOrigins: readonly string[];
  /** Connections at once, those that wait included. */
  readonly maxSessions: number;
  /** For an instance to answer the handshake, ms. */
  readonly handshakeTimeoutMs: number;
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
  /** One request was answered with 101, so long after it came. `controller` is an id of the catalog, or `job`. */
  doorOpened(controller: string, durationMs: number): void;
  doorRefused(status: number): void;
}

export interface FrontDoorDependencies {
  readonly catalog: { resolve(query: ControllerQuery): Resolution };
  readonly instances: Instances;
  /** Where the container of a job is reached, of this node; fails with an `InstanceError` `not_running`. */
  readonly upstreamOfJob: (job: JobId) => Upstream;
  readonly clock: Clock;
  readonly logger: {
    info(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
  readonly telemetry: FrontDoorTelemetry;
  /** Told of a broken invariant; whoever runs the process decides what becomes of it. */
  readonly onInvariantError: (error: InvariantError) => void;
}

/** Where a client is led, and what is said there. */
interface Target {
  readonly controller: string | undefined;
  readonly job: JobId;
  readonly lease: Lease | undefined;
  readonly upstream: Upstream;
  readonly path: string;
  /** Fields of the answer to the client. */
  readonly fields: readonly string[];
}

/** A status that refuses, thrown on the way to the one place that sends it. */
class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.text);
    this.refusal = refusal;
  }
}

/**
 * Leads clients to their containers. A client is answered only once its container has answered: what goes wrong before is a status
 * with a reason, what goes wrong after is the end of both connections.
 */
export class FrontDoor implements Disposable {
  readonly #options: FrontDoorOptions;
  readonly #deps: FrontDoorDependencies;
  readonly #sessions: Sessions;
  readonly #subscription: Disposable;
  readonly #draining = new AbortController();
  #waitingCount = 0;

  constructor(options: FrontDoorOptions, deps: FrontDoorDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#sessions = new Sessions(deps);
    this.#subscription = deps.instances.onLost((lease) => this.#sessions.closeLease(lease));
  }

  /** Whether a request to upgrade is one for the front door; any other is answered as if it did not ask. */
  static isFor(path: string, upgrade: string | undefined): boolean {
    return path === DOOR_PATH && asksForWebSocket(upgrade);
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

  /** Takes the connection over. Resolves when it has ended, whatever became of it. */
  async serve(request: DoorRequest): Promise<void> {
    const { socket, client } = request;
    const { clock, telemetry, logger } = this.#deps;
    const startedMs = clock.monotonicMs();
    let target: Target | undefined;
    try {
      this.#waitingCount += 1;
      const opened = await this.#open(request, (found) => (target = found)).finally(
        () => (this.#waitingCount -= 1),
      );
      if (opened === undefined || target === undefined) return;
      telemetry.doorOpened(target.controller ?? 'job', clock.monotonicMs() - startedMs);
      const { controller, job, lease } = target;
      using _session = this.#sessions.add({
        ...{ socket, upstream: opened.socket, client, controller, job, lease: lease?.id },
      });
      await splice(socket, opened.socket);
    } catch (error) {
      const refusal = refusalOf(error) ?? this.#failed(error);
      telemetry.doorRefused(refusal.status);
      logger.info({ client, status: refusal.status, reason: refusal.text }, 'connection refused');
      sendRefusal(socket, refusal);
    } finally {
      if (target?.lease !== undefined) this.#deps.instances.release(target.lease.id);
    }
  }

  /** Leads nobody anywhere any more; sessions may end by themselves within the grace, and are ended then. */
  async drain(graceMs: number, force: AbortSignal): Promise<void> {
    this.#draining.abort(new InstanceError('draining', 'the node is shutting down', { retryable: true }));
    const empty = this.#sessions.whenEmpty();
    await Promise.race([empty, sleep(this.#deps.clock, graceMs, force).catch(() => undefined)]);
    this.#sessions.closeAll();
    await empty;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#sessions.closeAll();
  }

  /** Undefined when the client left meanwhile. */
  async #open(
    request: DoorRequest,
    onTarget: (target: Target) => void,
  ): Promise<UpstreamConnection | undefined> {
    const { socket, head } = request;
    const handshake = this.#admit(request);
    const query = readQuery(request.query);
    using client = new WaitingClient(socket, head);
    using linked = new LinkedSignal([client.signal, this.#draining.signal]);
    const { signal } = linked;
    try {
      const target = await this.#find(query, signal);
      onTarget(target);
      const { upstream, path, fields } = target;
      const { handshakeTimeoutMs: limitMs } = this.#options;
      const opened = await dialUpstream({ upstream, path, handshake, limitMs }, this.#deps.clock, signal);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.write(
        headOf(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...opened.fields, ...fields]),
      );
      if (opened.head.length > 0) socket.write(opened.head);
      if (client.early.length > 0) opened.socket.write(client.early);
      return opened;
    } catch (error) {
      if (!client.signal.aborted) throw error;
      socket.destroy();
      return undefined;
    }
  }

  #admit({ method, rawHeaders }: DoorRequest): Handshake {
    const { maxSessions, allowedOrigins } = this.#options;
    this.#draining.signal.throwIfAborted();
    const handshake = readHandshake(method, rawHeaders);
    if ('status' in handshake) throw new Refused(handshake);
    if (handshake.origin !== undefined && !allowedOrigins.includes(handshake.origin)) {
      const text =
        'web pages may not connect: add the origin of this one to frontdoor.allowed_origins to let it';
      throw new Refused({ status: 403, text });
    }
    if (this.#sessions.size + this.#waitingCount > maxSessions) {
      const text = `${maxSessions} connections are open already (frontdoor.max_sessions)`;
      throw new Refused({ status: 503, text, retryAfterMs: RETRY_AFTER_MS });
    }
    return handshake;
  }

  #failed(error: unknown): Refusal {
    this.#deps.logger.error({ err: error }, 'front door failed');
    if (error instanceof InvariantError) this.#deps.onInvariantError(error);
    return { status: 500, text: `the node failed: ${messageOf(error)}` };
  }

  async #find(query: DoorQuery, signal: AbortSignal): Promise<Target> {
    if (query.job !== undefined) return this.#ofJob(query.job, query);
    const resolution = this.#deps.catalog.resolve(query);
    const { controller, libraryPath, procName, isPathIgnored } = resolution;
    const name = `${controller.id}@${controller.version}`;
    if (isPathIgnored)
      this.#deps.logger.info(
        { controller: name, path: query.path },
        'path of a client ignored: it names no controller',
      );
    const lease = await this.#deps.instances.acquire(templateOf(controller, this.#options.defaults), signal);
    return {
      controller: name,
      job: lease.job,
      lease,
      upstream: lease.upstream,
      path: upstreamPath(libraryPath, procName),
      fields: [
        'X-Controller',
        encodeURIComponent(name),
        ...(isPathIgnored ? ['X-Path-Ignored', 'true'] : []),
      ],
    };
  }

  #ofJob(id: string, { path, proc }: DoorQuery): Target {
    if (!isJobId(id))
      throw new Refused({ status: 400, text: `job is no id of a job: ${id.slice(0, MAX_SHOWN_LENGTH)}` });
    const upstream = this.#deps.upstreamOfJob(id);
    return {
      controller: undefined,
      job: id,
      lease: undefined,
      upstream,
      path: upstreamPath(path, proc),
      fields: [],
    };
  }
}

const MAX_SHOWN_LENGTH = 64;
const RETRY_AFTER_MS = 5_000;
/** Sent to a client that is silent, so that a dead one is found out, ms. */
const KEEP_ALIVE_MS = 15_000;

/** As the instance is asked, in the order in which clients have always asked. */
function upstreamPath(path: string | undefined, proc: string | undefined): string {
  const query = new URLSearchParams();
  if (path !== undefined && path !== '') query.set('path', path);
  if (proc !== undefined && proc !== '') query.set('proc', proc);
  return query.size === 0 ? DOOR_PATH : `${DOOR_PATH}?${query.toString()}`;
}

const CATALOG_STATUS: Partial<Record<CatalogErrorCode, number>> = {
  controller_not_found: 400,
  version_not_found: 400,
  bad_query: 400,
  no_controllers: 500,
  controller_invalid: 503,
};
const INSTANCE_STATUS: Record<InstanceErrorCode, number> = {
  busy: 503,
  draining: 503,
  start_failed: 502,
  not_running: 409,
};

/** The one place where what went wrong becomes a status; undefined for what should not go wrong. */
function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refused || error instanceof UpstreamRefusal) return error.refusal;
  if (error instanceof QueryError)
    return { status: 400, text: `Error parsing query parameters: ${error.message}` };
  if (error instanceof CatalogError)
    return { status: CATALOG_STATUS[error.code] ?? 500, text: error.message };
  if (error instanceof InstanceError) {
    const { code, message, retryAfterMs } = error;
    return {
      status: INSTANCE_STATUS[code],
      text: message,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  }
  return undefined;
}
