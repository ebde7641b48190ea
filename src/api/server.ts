import type { DoorRequest } from '../frontdoor/front-door.ts';
import { Access } from './access.ts';
import type { AccessOptions, Refusal } from './access.ts';
import { DoorAccess } from './door-access.ts';
import { errorReply } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { CloseOptions, ListenerDoor, TlsOptions } from './http-listener.ts';
import { HttpListener } from './http-listener.ts';
import type { ApiLimits } from './limits.ts';
import { DEFAULT_API_LIMITS } from './limits.ts';
import { callableMethods } from './method-calls.ts';
import type { ApiDependencies } from './ports.ts';
import { refuse } from './refusals.ts';
import { Router } from './router.ts';
import { RpcEndpoint } from './rpc-endpoint.ts';
import { RPC_PATH, RpcRoute } from './rpc-route.ts';

export interface ApiOptions {
  readonly listenAddress: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly tls?: TlsOptions;
  readonly access: AccessOptions;
  /** Networks whose clients are led to containers without a token. */
  readonly doorNetworks?: readonly string[];
  /** Those that differ from the defaults. */
  readonly limits?: Partial<ApiLimits>;
}

export interface ApiServer {
  /** Resolves with what it really listens on; fails with the error of the system call, such as EADDRINUSE. */
  listen(): Promise<{ address: string; port: number }>;
  /** Accepts nothing new, finishes what is under way within the grace, then ends every connection. Twice is as once. */
  close(options: CloseOptions): Promise<void>;
}

const ANSWERED_FROM_THE_START: ReadonlySet<string> = new Set(['/health', '/ready', '/metrics']);

const STARTING: Refusal = {
  status: 503,
  reason: 'starting',
  message: 'the node is starting and looks for its jobs; ask again in a moment',
  retryAfterMs: 1_000,
};

/** The node's API over HTTP. Opens nothing before `listen`. Throws a RangeError when a trusted network is not one. */
export function createApiServer(options: ApiOptions, deps: ApiDependencies): ApiServer {
  const limits = { ...DEFAULT_API_LIMITS, ...options.limits };
  const access = new Access(options.access, deps);
  const endpoint = new RpcEndpoint(limits, {
    methods: callableMethods(deps),
    errorReply: (error, method) => errorReply(error, deps, { route: method }),
    onCall: (method, outcome, durationMs) => deps.metrics.rpcCall(method, outcome, durationMs),
  });
  const rpcRoute = new RpcRoute(limits, endpoint, deps);
  const router = new Router({ limits }, deps);
  const handle = (exchange: Exchange): void => {
    if (deps.isStarting() && !ANSWERED_FROM_THE_START.has(exchange.path))
      refuse(exchange.response, STARTING, exchange.path === RPC_PATH, deps.metrics);
    else if (exchange.path === RPC_PATH) rpcRoute.handle(exchange);
    else router.handle(exchange);
  };
  const { listenAddress, port, tls } = options;
  const listening = { listenAddress, port, limits, ...(tls !== undefined && { tls }) };
  const onStopping = (): void => router.stop();
  return new HttpListener(listening, {
    ...deps,
    access,
    handle,
    onStopping,
    ...doorOf(options, deps, access),
  });
}

function doorOf(
  { doorNetworks = [] }: ApiOptions,
  { frontDoor, isStarting }: ApiDependencies,
  access: Access,
): { door?: ListenerDoor } {
  if (frontDoor === undefined) return {};
  const { status, message: text, retryAfterMs = 0 } = STARTING;
  const door = {
    access: new DoorAccess({ networks: doorNetworks }, { access }),
    closedBecause: () => (isStarting() ? { status, text, retryAfterMs } : undefined),
    serve: (request: DoorRequest) => frontDoor.serve(request),
  };
  return { door };
}
