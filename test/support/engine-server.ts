import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RuntimeDriver } from '../../src/runtime/driver.ts';
import { RuntimeError } from '../../src/runtime/errors.ts';
import type { WireAnswer, WireRequest } from './engine-wire.ts';

type Calls = Record<string, (...args: unknown[]) => unknown>;

/** Calls whose last argument is options that hold a signal, or the signal itself. */
const SIGNAL_IN_OPTIONS: ReadonlySet<string> = new Set([
  'pullImage',
  'events',
  'imageEvents',
  'logs',
  'readFile',
]);
const SIGNAL_LAST: Readonly<Record<string, number>> = {
  info: 0,
  findImage: 1,
  listImages: 1,
  inspect: 1,
  list: 1,
  stats: 1,
};

/**
 * An engine outside the node's process: serves a driver over a unix socket, so that the engine lives on when the node
 * is killed. What was begun for a client that is gone is carried out all the same, as a real engine does.
 */
export class EngineServer implements AsyncDisposable {
  readonly #driver: RuntimeDriver;
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-engine-'));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(driver: RuntimeDriver) {
    this.#driver = driver;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(driver: RuntimeDriver): Promise<EngineServer> {
    const engine = new EngineServer(driver);
    engine.#server.listen(engine.socketPath);
    await once(engine.#server, 'listening');
    return engine;
  }

  get socketPath(): string {
    return join(this.#directory, 'engine.sock');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const running = new Map<number, AbortController>();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      for (const abort of running.values())
        abort.abort(new DOMException('the client went away', 'AbortError'));
    });
    const lines = createInterface({ input: socket });
    // The reader passes the socket's errors on.
    lines.on('error', () => undefined);
    lines.on('line', (line) => {
      const request = JSON.parse(line) as WireRequest;
      if ('abort' in request)
        return running.get(request.abort)?.abort(new DOMException('aborted', 'AbortError'));
      const abort = new AbortController();
      running.set(request.id, abort);
      const answer = (reply: WireAnswer): void => {
        if (socket.writable) socket.write(`${JSON.stringify({ id: request.id, ...reply })}\n`);
      };
      void this.#carryOut(request, abort.signal, answer).finally(() => running.delete(request.id));
    });
  }

  async #carryOut(
    request: Exclude<WireRequest, { abort: number }>,
    signal: AbortSignal,
    answer: (reply: WireAnswer) => void,
  ): Promise<void> {
    try {
      const result = this.#call(request, signal, answer);
      if (!isIterable(result)) return answer({ result: encodeItem((await result) ?? null) });
      for await (const item of result) answer({ item: encodeItem(item) });
      answer({ end: true });
    } catch (error) {
      const code = error instanceof RuntimeError ? error.code : 'engine_error';
      answer({ error: { code, message: (error as Error).message } });
    }
  }

  #call(
    { call, args }: Exclude<WireRequest, { abort: number }>,
    signal: AbortSignal,
    answer: (reply: WireAnswer) => void,
  ): unknown {
    const calls = this.#driver as unknown as Calls;
    const given = [...args];
    if (SIGNAL_IN_OPTIONS.has(call)) {
      const options = (given.pop() ?? {}) as object;
      const onSubscribed = (): void => answer({ subscribed: true });
      given.push({
        ...options,
        signal,
        ...(call === 'events' || call === 'imageEvents' ? { onSubscribed } : {}),
      });
    } else if (SIGNAL_LAST[call] !== undefined) {
      given[SIGNAL_LAST[call]] = signal;
    }
    return calls[call]?.apply(this.#driver, given);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

function encodeItem(item: unknown): unknown {
  const { data } = (item ?? {}) as { data?: unknown };
  return Buffer.isBuffer(data) ? { ...(item as object), data: data.toString('base64') } : item;
}
