import { STATUS_CODES } from 'node:http';
import { errorReply } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { HttpRoute } from './http-routes.ts';
import { HTTP_ROUTES } from './http-routes.ts';
import type { ApiLimits } from './limits.ts';
import type { ApiDependencies } from './ports.ts';
import { sendEmpty, sendProblem } from './replies.ts';
import { RPC_PATH } from './rpc-route.ts';
import { STOPPING, Streams } from './streams.ts';

export interface RouterOptions {
  readonly limits: ApiLimits;
}

/** One segment of a path. Longer than any id, so that a wrong one is answered by whoever knows the right ones. */
const ID_SEGMENT = '([A-Za-z0-9_.-]{1,128})';

/** Leads a request to its route, and turns what goes wrong there into an answer. */
export class Router {
  readonly #limits: ApiLimits;
  readonly #deps: ApiDependencies;
  readonly #streams: Streams;
  readonly #exact = new Map<string, HttpRoute>();
  readonly #patterns: { readonly pattern: RegExp; readonly route: HttpRoute }[] = [];

  constructor(options: RouterOptions, deps: ApiDependencies) {
    this.#limits = options.limits;
    this.#deps = deps;
    this.#streams = new Streams(options.limits);
    for (const route of HTTP_ROUTES) {
      if (!route.path.includes('{id}')) this.#exact.set(route.path, route);
      else this.#patterns.push({ pattern: new RegExp(`^${route.path.replace('{id}', ID_SEGMENT)}$`), route });
    }
  }

  /** Ends every stream, and lets none begin. */
  stop(): void {
    this.#streams.stop();
  }

  handle(exchange: Exchange): void {
    const { request, response, path } = exchange;
    const found = this.#find(path);
    if (found === undefined) return this.#notFound(exchange);
    const { route, id } = found;
    response.once('close', () => this.#deps.metrics.httpRequest(route.path, response.statusCode));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const detail = `${route.path} takes GET and HEAD, not ${request.method}`;
      const problem = { status: 405, title: 'Method Not Allowed', reason: 'method_not_allowed', detail };
      return sendProblem(response, problem, ['Allow', 'GET, HEAD']);
    }
    this.#run(route, exchange, id).catch((error: unknown) => this.#fail(exchange, route, error));
  }

  #find(path: string): { route: HttpRoute; id: string } | undefined {
    const exact = this.#exact.get(path);
    if (exact !== undefined) return { route: exact, id: '' };
    for (const { pattern, route } of this.#patterns) {
      const match = pattern.exec(path);
      if (match !== null) return { route, id: match[1] ?? '' };
    }
    return undefined;
  }

  async #run(route: HttpRoute, exchange: Exchange, id: string): Promise<void> {
    const { response } = exchange;
    const stream = async (work: (signal: AbortSignal) => Promise<void>, lastWords: string): Promise<void> => {
      if (exchange.request.method === 'HEAD') return sendEmpty(response, 200);
      this.#deps.metrics.streamOpened(route.path);
      try {
        await this.#stream(exchange, work, lastWords);
      } finally {
        this.#deps.metrics.streamClosed(route.path);
      }
    };
    await route.handle({ exchange, deps: this.#deps, limits: this.#limits, id, stream });
  }

  async #stream(
    { response }: Exchange,
    work: (signal: AbortSignal) => Promise<void>,
    lastWords: string,
  ): Promise<void> {
    using entry = this.#streams.enter(response);
    try {
      await work(entry.signal);
      response.end();
    } catch (error) {
      if (!entry.signal.aborted) throw error;
      if (entry.signal.reason === STOPPING && response.headersSent) response.end(lastWords);
      else response.destroy();
    }
  }

  #notFound({ response, path }: Exchange): void {
    this.#deps.metrics.httpRequest('unknown', 404);
    const paths = [`POST ${RPC_PATH}`, ...HTTP_ROUTES.map((route) => `GET ${route.path}`)];
    const detail = `there is nothing at ${JSON.stringify(path.slice(0, 256))}`;
    sendProblem(response, {
      status: 404,
      title: 'Not Found',
      reason: 'no_such_path',
      detail,
      details: { paths },
    });
  }

  #fail({ response }: Exchange, route: HttpRoute, error: unknown): void {
    const reply = errorReply(error, this.#deps, { route: route.path });
    if (response.headersSent) {
      // Cutting it short is the only way left to tell the client that there should have been more.
      this.#deps.logger.warn({ route: route.path, err: error }, 'stream broke off');
      response.destroy();
      return;
    }
    const { status, message, data } = reply;
    const { reason, retryable, retry_after_ms: retryAfterMs, details } = data;
    const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
    const title = STATUS_CODES[status] ?? 'Error';
    sendProblem(response, { status, title, detail: message, reason, retryable, details, ...retry });
  }
}
