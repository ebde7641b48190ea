import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JobView, RpcErrorData } from '../../../src/api/wire.ts';

/** What a method is answered. A function gets the params. */
export type StubAnswers = Readonly<Record<string, unknown>>;

/** An error as a method's answer. */
export class StubError extends Error {
  readonly body: { code: number; message: string; data: RpcErrorData };

  constructor(code: number, reason: string, message: string, data: Partial<RpcErrorData> = {}) {
    super(message);
    this.body = { code, message, data: { reason, retryable: false, details: {}, ...data } };
  }
}

/** Answers JSON-RPC with what a test wants, for what no real node can be brought to say at will. */
export class StubNode implements AsyncDisposable {
  readonly calls: {
    readonly method: string;
    readonly params: unknown;
    readonly token: string | undefined;
  }[] = [];
  readonly #server: Server;

  private constructor(answers: StubAnswers) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, params, id } = JSON.parse(Buffer.concat(chunks).toString()) as {
          method: string;
          params: unknown;
          id: number;
        };
        this.calls.push({ method, params, token: request.headers.authorization });
        const answer = answers[method];
        const outcome: unknown =
          typeof answer === 'function' ? (answer as (params: unknown) => unknown)(params) : answer;
        const body = outcome instanceof StubError ? { error: outcome.body } : { result: outcome };
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', ...body, id }));
      });
    });
  }

  static async start(answers: StubAnswers): Promise<StubNode> {
    const node = new StubNode(answers);
    node.#server.listen(0, '127.0.0.1');
    await once(node.#server, 'listening');
    return node;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A job that runs, unless it is changed. */
export function stubJob(changes: Partial<JobView> = {}): JobView {
  const time = new Date(Date.now() - 125_000).toISOString();
  return {
    job_id: '01a1fd1c-0512-76b6-ae64-8f1b899dc419',
    status: 'running',
    owner: 'node-1',
    age_ms: 0,
    image: 'app:1',
    attempt: 1,
    restarts: 0,
    priority: 0,
    container_name: 'cm-01a1fd1c',
    created_at: time,
    updated_at: time,
    ...changes,
  };
}
