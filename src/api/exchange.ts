import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestHead } from './head.ts';
import type { Call } from './methods/definition.ts';
import type { Caller } from './tokens.ts';

/** One request that was let in, and its response. */
export class Exchange implements Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  readonly caller: Caller;
  /** The path as it was sent, without the query. */
  readonly path: string;
  /** The query as it was sent, without the question mark. */
  readonly query: string;
  /** The client asks whether it may send the body. */
  readonly expectsContinue: boolean;
  #abort: AbortController | undefined;

  constructor(options: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly head: RequestHead;
    readonly caller: Caller;
    readonly path: string;
    readonly query: string;
    readonly expectsContinue: boolean;
  }) {
    this.request = options.request;
    this.response = options.response;
    this.head = options.head;
    this.caller = options.caller;
    this.path = options.path;
    this.query = options.query;
    this.expectsContinue = options.expectsContinue;
  }

  /** Aborted when the client goes away before it has its answer. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      const leave = (): void => {
        // One that was answered has nothing left to be given up, and an abort costs as much as a request.
        if (this.response.writableFinished) return;
        abort.abort(new DOMException('the client went away', 'AbortError'));
      };
      if (this.response.destroyed) leave();
      else this.response.once('close', leave);
    }
    return this.#abort.signal;
  }
}
