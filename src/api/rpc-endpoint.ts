import jayson from 'jayson';
import { runBounded } from './bounded.ts';
import type { ErrorReply } from './errors.ts';
import { ApiError, protocolError } from './errors.ts';
import type { JsonProblem } from './json.ts';
import { findForbiddenKey, isObject, parseJson } from './json.ts';
import type { Call } from './methods/definition.ts';
import { isLegacy, legacyErrorText, legacyProblem } from './legacy-rpc.ts';
import { notCarriedOut, ReplyBudget } from './reply-budget.ts';
import type { RpcResponse } from './rpc-response.ts';
import {
  errorResponse,
  INVALID_REQUEST,
  NO_CALL,
  METHOD_NOT_FOUND,
  statusOf,
  withErrorData,
} from './rpc-response.ts';
import type { Scope } from './tokens.ts';
import { RPC_ERROR_CODES } from './wire.ts';

/** What the endpoint needs of a method. Parameters come as they were sent. */
export interface RpcMethod {
  readonly scope: Scope;
  call(params: unknown, context: Call): unknown;
}

export interface RpcEndpointOptions {
  readonly maxBatchItems: number;
  readonly maxNesting: number;
}

export interface RpcEndpointDependencies {
  readonly methods: ReadonlyMap<string, RpcMethod>;
  /** Turns whatever a method threw into a reply. */
  readonly errorReply: (error: unknown, method: string) => ErrorReply;
  readonly onCall: (method: string, outcome: string, durationMs: number) => void;
}

/** The answer to one HTTP request. An empty text is a reply without a body. */
export type RpcReply = (status: number, text: string) => void;

/** How many calls of one batch run at once. */
const BATCH_CONCURRENCY = 32;

/** Stands for the id of a call whose own would make jayson keep silent. */
const PRIVATE_ID = 0;

type Respond = (response: RpcResponse | undefined) => void;
type Callback = (error?: jayson.JSONRPCError | null, result?: unknown) => void;

/**
 * JSON-RPC 2.0 and 1.0 over one table of methods. jayson checks and carries out each call; bodies, batches, versions
 * and null ids are dealt with here.
 */
export class RpcEndpoint {
  readonly #options: RpcEndpointOptions;
  readonly #deps: RpcEndpointDependencies;
  readonly #server: jayson.Server;
  readonly #methods = new Map<string, jayson.Method>();

  constructor(options: RpcEndpointOptions, deps: RpcEndpointDependencies) {
    this.#options = options;
    this.#deps = deps;
    for (const [name, method] of deps.methods) this.#methods.set(name, this.#adapt(name, method));
    const unknownMethod = new jayson.Method((_params: unknown, callback: Callback) => {
      deps.onCall('unknown', 'method_not_found', 0);
      callback({ code: RPC_ERROR_CODES.method_not_found, message: METHOD_NOT_FOUND });
    });
    // A router, because jayson does not register names that begin with `rpc.`, and one of ours does.
    this.#server = new jayson.Server({}, { router: (name) => this.#methods.get(name) ?? unknownMethod });
    this.#server.errorMessages[RPC_ERROR_CODES.invalid_request] = INVALID_REQUEST;
  }

  /** Answers one body. `reply` is called exactly once. */
  handle(body: Buffer, context: Call, reply: RpcReply): void {
    const json = parseJson(body, this.#options.maxNesting);
    if (!json.ok) return this.#send(reply, errorResponse(this.#bodyProblem(json.problem), null));
    const { value, mayHaveForbiddenKeys } = json;
    if (mayHaveForbiddenKeys) {
      const path = findForbiddenKey(value);
      if (path !== undefined) return this.#refuseKey(value, path, reply);
    }
    if (Array.isArray(value)) return this.#batch(value, context, reply);
    if (isLegacy(value)) return this.#legacyCall(value, context, reply);
    this.#call(value, context, (response) => this.#send(reply, response));
  }

  #adapt(name: string, method: RpcMethod): jayson.Method {
    const handler = (params: unknown, context: object, callback: Callback): void =>
      this.#invoke(name, method, params, context as Call, callback);
    return new jayson.Method(handler as jayson.MethodHandlerContext, { useContext: true });
  }

  #invoke(name: string, method: RpcMethod, params: unknown, context: Call, callback: Callback): void {
    const startedAtMs = performance.now();
    let result: unknown;
    try {
      if (method.scope === 'full' && context.caller.scope !== 'full') {
        throw new ApiError('forbidden', `${name} needs a token of full scope`);
      }
      result = method.call(params, context);
    } catch (error) {
      return this.#fail(name, error, startedAtMs, callback);
    }
    // Most calls are answered at once, and are spared a turn of the microtask queue.
    if (!(result instanceof Promise)) return this.#succeed(name, result, startedAtMs, callback);
    result.then(
      (value) => this.#succeed(name, value, startedAtMs, callback),
      (error: unknown) => this.#fail(name, error, startedAtMs, callback),
    );
  }

  #succeed(name: string, result: unknown, startedAtMs: number, callback: Callback): void {
    this.#deps.onCall(name, 'ok', performance.now() - startedAtMs);
    callback(null, result);
  }

  #fail(name: string, error: unknown, startedAtMs: number, callback: Callback): void {
    const { code, message, data } = this.#deps.errorReply(error, name);
    this.#deps.onCall(name, data.reason, performance.now() - startedAtMs);
    callback({ code, message, data });
  }

  /** One 2.0 call; `undefined` is the answer to a notification. */
  #call(request: unknown, context: Call, respond: Respond): void {
    // jayson would take an array for a batch within the batch, and a text for a body.
    if (!isObject(request)) return respond(errorResponse(NO_CALL, null));
    const hasNullId = request['id'] === null;
    if (hasNullId) request['id'] = PRIVATE_ID;
    this.#server.call(request as unknown as jayson.JSONRPCRequest, context, (error, result) => {
      const response = (error ?? result) as RpcResponse | undefined;
      if (response !== undefined && hasNullId) response.id = null;
      respond(response === undefined ? undefined : withErrorData(response, request));
    });
  }

  #batch(items: readonly unknown[], context: Call, reply: RpcReply): void {
    const { maxBatchItems } = this.#options;
    if (items.length === 0 || items.length > maxBatchItems) {
      const problem = protocolError('invalid_request', INVALID_REQUEST, {
        problem:
          items.length === 0
            ? 'an empty batch'
            : `a batch of ${items.length} calls; ${maxBatchItems} are allowed`,
        max_batch_items: maxBatchItems,
      });
      return this.#send(reply, errorResponse(problem, null));
    }
    const budget = new ReplyBudget();
    runBounded(
      items,
      BATCH_CONCURRENCY,
      (item, done: (text: string | undefined) => void) => {
        // What was answered already is no reason to do more that nobody can be told of.
        if (budget.isSpent && expectsAnswer(item)) return done(this.#refusal(notCarriedOut(), idOf(item)));
        this.#call(item, context, (response) => done(response && this.#textOf(response, budget)));
      },
      (texts) => {
        const answers = texts.filter((text) => text !== undefined);
        if (answers.length === 0) reply(204, '');
        else reply(200, `[${answers.join(',')}]`);
      },
    );
  }

  /** A call of the first protocol, carried out as one of the second. */
  #legacyCall(request: Record<string, unknown>, context: Call, reply: RpcReply): void {
    const { id = null, method, params } = request;
    const refuse = (text: string): void => reply(400, JSON.stringify({ result: null, error: text, id }));
    const problem = legacyProblem(request, this.#methods);
    if (problem !== undefined) return refuse(problem);
    // One argument is taken, as it always was; none at all is an empty one.
    const call = { jsonrpc: '2.0', method, params: [(params as unknown[])[0] ?? {}], id: PRIVATE_ID };
    this.#call(call, context, (response) => {
      if (response?.error !== undefined) return refuse(legacyErrorText(response.error));
      if (id === null) return reply(200, '');
      let text: string;
      try {
        text = new ReplyBudget().textOf({ result: response?.result ?? null, error: null, id });
      } catch (error) {
        return refuse(legacyErrorText(this.#deps.errorReply(error, 'reply')));
      }
      reply(200, text);
    });
  }

  #send(reply: RpcReply, response: RpcResponse | undefined): void {
    if (response === undefined) reply(204, '');
    else reply(statusOf(response), this.#textOf(response, new ReplyBudget()));
  }

  /** The response as text, or the error that it cannot be put into text. */
  #textOf(response: RpcResponse, budget: ReplyBudget): string {
    try {
      return budget.textOf(response);
    } catch (error) {
      return this.#refusal(error, response.id);
    }
  }

  #refusal(error: unknown, id: RpcResponse['id']): string {
    return JSON.stringify(errorResponse(this.#deps.errorReply(error, 'reply'), id));
  }

  #refuseKey(value: unknown, path: string, reply: RpcReply): void {
    const text = `forbidden key at ${path}`;
    if (isLegacy(value)) {
      return reply(400, JSON.stringify({ result: null, error: text, id: value['id'] ?? null }));
    }
    const problem = protocolError('invalid_params', `invalid params: ${text}`, {
      problems: [{ path, message: text }],
    });
    this.#send(reply, errorResponse(problem, idOf(value)));
  }

  #bodyProblem(problem: JsonProblem): ErrorReply {
    const { maxNesting } = this.#options;
    switch (problem) {
      case 'too_deep':
        return protocolError('invalid_request', INVALID_REQUEST, {
          problem: `nested deeper than ${maxNesting} levels`,
          max_nesting: maxNesting,
        });
      case 'not_utf8':
        return protocolError('parse_error', 'Parse error', { problem: 'the body is not valid UTF-8' });
      case 'not_json':
        return protocolError('parse_error', 'Parse error', { problem: 'the body is not valid JSON' });
    }
  }
}

/** The id that an answer to it carries. */
function idOf(request: unknown): RpcResponse['id'] {
  const id = isObject(request) ? request['id'] : null;
  return typeof id === 'string' || typeof id === 'number' ? id : null;
}

/** Notifications expect none. */
function expectsAnswer(request: unknown): boolean {
  return !isObject(request) || request['id'] !== undefined;
}
