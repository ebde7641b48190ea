import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { AccessOptions } from '../../../src/api/access.ts';
import type { TlsOptions } from '../../../src/api/http-listener.ts';
import type { ApiLimits } from '../../../src/api/limits.ts';
import type {
  ApiDependencies,
  ApiLogger,
  Controllers,
  Door,
  NodeControl,
  PeersView,
} from '../../../src/api/ports.ts';
import type { ApiServer } from '../../../src/api/server.ts';
import { createApiServer } from '../../../src/api/server.ts';
import type { HealthView } from '../../../src/api/wire.ts';
import { NoPeers } from '../../../src/api/no-peers.ts';
import type { Jobs } from '../../../src/jobs/jobs.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { InvariantError } from '../../../src/kernel/errors.ts';
import { catalogOf } from '../../support/catalog.ts';
import type { FakeJobsOptions } from '../../support/fake-jobs.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';

export const OPEN_TO_LOOPBACK: AccessOptions = {
  mode: 'token',
  tokens: [],
  trustedNetworks: [],
  allowedHosts: [],
  allowedOrigins: [],
};

export interface ApiOverrides {
  readonly access?: Partial<AccessOptions>;
  readonly limits?: Partial<ApiLimits>;
  readonly jobs?: FakeJobsOptions;
  /** What the API sees in place of the jobs themselves. */
  readonly facade?: (jobs: FakeJobs) => Jobs;
  readonly listenAddress?: string;
  readonly health?: () => HealthView;
  readonly isStarting?: () => boolean;
  readonly tls?: TlsOptions;
  readonly peers?: PeersView;
  readonly node?: NodeControl;
  /** Without, there are none. */
  readonly controllers?: Controllers;
  readonly frontDoor?: Door;
  readonly doorNetworks?: readonly string[];
}

export interface LoggedLine {
  readonly level: string;
  readonly facts: object;
  readonly message: string;
}

/** A server on real sockets over jobs in memory, closed when the test is over. */
export interface RunningApi {
  readonly server: ApiServer;
  readonly jobs: FakeJobs;
  readonly port: number;
  readonly log: LoggedLine[];
  readonly refused: string[];
  readonly rpcCalls: { method: string; outcome: string }[];
  readonly invariantErrors: InvariantError[];
  readonly openStreams: () => number;
}

export const HEALTHY: HealthView = {
  status: 'ok',
  ready: true,
  version: '1.2.3',
  node: '12D3KooWFake',
  uptime_ms: 1,
  parts: { docker: { status: 'ok' }, store: { status: 'ok' } },
};

/** Who the node is. */
export const SELF = { node_id: '12D3KooWFake', cluster_id: '0123456789abcdef', name: 'host-1' };

export async function startApi(overrides: ApiOverrides = {}): Promise<RunningApi> {
  const jobs = new FakeJobs(overrides.jobs);
  const log: LoggedLine[] = [];
  const refused: string[] = [];
  const rpcCalls: { method: string; outcome: string }[] = [];
  const invariantErrors: InvariantError[] = [];
  let streams = 0;
  const at = (level: string) => (facts: object, message: string) => void log.push({ level, facts, message });
  const logger: ApiLogger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const deps: ApiDependencies = {
    jobs: overrides.facade?.(jobs) ?? jobs,
    peers: overrides.peers ?? new NoPeers(SELF),
    controllers: overrides.controllers ?? catalogOf(join(tmpdir(), 'controllers-that-nobody-opens.json')),
    ...(overrides.frontDoor !== undefined && { frontDoor: overrides.frontDoor }),
    node: overrides.node ?? {
      info: () => ({ ...SELF, version: '1.2.3', uptime_ms: 1, draining: jobs.isDraining }),
      drain: () => void (jobs.isDraining = true),
      undrain: () => void (jobs.isDraining = false),
    },
    logger,
    metrics: {
      rpcCall: (method, outcome) => void rpcCalls.push({ method, outcome }),
      httpRequest: () => undefined,
      refused: (reason) => void refused.push(reason),
      streamOpened: () => void (streams += 1),
      streamClosed: () => void (streams -= 1),
      render: () =>
        Promise.resolve({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: 'up 1\n' }),
    },
    clock: systemClock,
    health: overrides.health ?? (() => HEALTHY),
    isStarting: overrides.isStarting ?? (() => false),
    version: () => ({ version: '1.2.3', node_version: process.version }),
    onInvariantError: (error) => void invariantErrors.push(error),
  };
  const server = createApiServer(
    {
      listenAddress: overrides.listenAddress ?? '127.0.0.1',
      port: 0,
      access: { ...OPEN_TO_LOOPBACK, ...overrides.access },
      ...(overrides.doorNetworks !== undefined && { doorNetworks: overrides.doorNetworks }),
      ...(overrides.limits !== undefined && { limits: overrides.limits }),
      ...(overrides.tls !== undefined && { tls: overrides.tls }),
    },
    deps,
  );
  const { port } = await server.listen();
  onTestFinished(() => server.close({ graceMs: 0 }));
  return { server, jobs, port, log, refused, rpcCalls, invariantErrors, openStreams: () => streams };
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface HttpCall {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  readonly host?: string;
  readonly localAddress?: string;
}

/** One request on a connection of its own. */
export async function http(port: number, path: string, call: HttpCall = {}): Promise<HttpReply> {
  const { method = 'GET', headers = {}, body, host = '127.0.0.1', localAddress } = call;
  const sent = request({
    host,
    port,
    path,
    method,
    headers,
    agent: false,
    ...(localAddress !== undefined && { localAddress }),
  });
  const replied = once(sent, 'response') as Promise<[IncomingMessage]>;
  // The server may answer, and close, before it has taken the whole body.
  sent.on('error', () => undefined);
  sent.end(body);
  const [response] = await replied;
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk as string;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** Posts a body to `/jrpc` as JSON. */
export function post(port: number, body: unknown, headers: Record<string, string> = {}): Promise<HttpReply> {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return http(port, '/jrpc', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: text,
  });
}

export interface RpcAnswer {
  readonly jsonrpc: string;
  readonly id: unknown;
  readonly result?: Record<string, unknown>;
  readonly error?: {
    code: number;
    message: string;
    data: { reason: string; details: Record<string, unknown> };
  };
}

/** One 2.0 call. */
export async function rpc(port: number, method: string, params?: unknown): Promise<RpcAnswer> {
  const reply = await post(port, { jsonrpc: '2.0', id: 1, method, params });
  return JSON.parse(reply.text) as RpcAnswer;
}

/** Sends bytes as they are and resolves with everything that came back until the connection ended. */
export async function raw(port: number, bytes: string | Buffer, host = '127.0.0.1'): Promise<string> {
  const socket = connect(port, host);
  socket.end(bytes);
  return received(socket);
}

/** Everything a socket receives until it closes; a reset is an end as well. */
export async function received(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  // `once` would fail with the reset.
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}

/** Resolves when the condition holds; fails with `what` when it does not within `timeoutMs`. */
export async function until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
