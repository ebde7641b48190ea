import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type {
  EventsOptions,
  ImageEventsOptions,
  InstanceFile,
  LogChunk,
  LogsOptions,
  PullOptions,
  ReadFileOptions,
  RuntimeDriver,
} from '../../src/runtime/driver.ts';
import { RuntimeError } from '../../src/runtime/errors.ts';
import type { WireAnswer } from './engine-wire.ts';

type Listener = (answer: WireAnswer | undefined) => void;

/** The driver of a node whose engine is an `EngineServer`. */
export class EngineClient {
  readonly #socketPath: string;
  readonly #listeners = new Map<number, Listener>();
  #socket: Socket | undefined;
  #lastId = 0;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Every call of the port, to be put in place of another driver's. */
  methods(): Omit<RuntimeDriver, typeof Symbol.asyncDispose> {
    const call = <T>(name: string, args: readonly unknown[], signal?: AbortSignal): Promise<T> =>
      this.#call<T>(name, args, signal);
    return {
      info: (signal) => call('info', [], signal),
      findImage: (reference, signal) => call('findImage', [reference], signal),
      listImages: (labels, signal) => call('listImages', [labels], signal),
      imageEvents: ({ signal, onSubscribed, ...options }: ImageEventsOptions) =>
        this.#stream('imageEvents', [options], signal, onSubscribed),
      pullImage: (reference, { signal }: PullOptions) => call('pullImage', [reference, {}], signal),
      create: (plan) => call('create', [plan]),
      start: (id) => call('start', [id]),
      stop: (id, options) => call('stop', [id, options]),
      pause: (id) => call('pause', [id]),
      unpause: (id) => call('unpause', [id]),
      remove: (id) => call('remove', [id]),
      inspect: (idOrName, signal) => call('inspect', [idOrName], signal),
      list: (labels, signal) => call('list', [labels], signal),
      stats: (id, signal) => call('stats', [id], signal),
      events: ({ signal, onSubscribed, ...options }: EventsOptions) =>
        this.#stream('events', [options], signal, onSubscribed),
      readFile: async (id, path, { signal, ...options }: ReadFileOptions) =>
        decodeFile(await call('readFile', [id, path, options], signal)),
      logs: (id, { signal, ...options }: LogsOptions) =>
        decodeLogs(this.#stream('logs', [id, options], signal)),
    };
  }

  #call<T>(name: string, args: readonly unknown[], signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const onAbort = (): void => {
        this.#abort(id);
        reject(signal?.reason as Error);
      };
      const id = this.#send(name, args, (answer) => {
        this.#listeners.delete(id);
        signal?.removeEventListener('abort', onAbort);
        if (answer !== undefined && 'result' in answer) resolve((answer.result ?? undefined) as T);
        else reject(failureOf(answer));
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  async *#stream<T>(
    name: string,
    args: readonly unknown[],
    signal?: AbortSignal,
    onSubscribed?: () => void,
  ): AsyncGenerator<T> {
    const queue: (WireAnswer | undefined)[] = [];
    let wake = Promise.withResolvers<void>();
    const onAbort = (): void => wake.resolve();
    signal?.addEventListener('abort', onAbort);
    const id = this.#send(name, args, (answer) => {
      if (answer !== undefined && 'subscribed' in answer) return onSubscribed?.();
      queue.push(answer);
      wake.resolve();
    });
    try {
      while (signal?.aborted !== true) {
        if (queue.length === 0) {
          await wake.promise;
          wake = Promise.withResolvers();
          continue;
        }
        const answer = queue.shift();
        if (answer !== undefined && 'end' in answer) return;
        if (answer === undefined || !('item' in answer)) throw failureOf(answer);
        yield answer.item as T;
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#abort(id);
    }
  }

  #abort(id: number): void {
    if (this.#listeners.delete(id)) this.#socket?.write(`${JSON.stringify({ abort: id })}\n`);
  }

  #send(call: string, args: readonly unknown[], listener: Listener): number {
    const id = (this.#lastId += 1);
    this.#listeners.set(id, listener);
    this.#connection().write(`${JSON.stringify({ id, call, args })}\n`);
    return id;
  }

  #connection(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = connect(this.#socketPath);
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
      const waiting = [...this.#listeners.values()];
      this.#listeners.clear();
      for (const listener of waiting) listener(undefined);
    });
    const lines = createInterface({ input: socket });
    // The reader passes the socket's errors on.
    lines.on('error', () => undefined);
    lines.on('line', (line) => {
      const { id, ...answer } = JSON.parse(line) as { id: number } & WireAnswer;
      this.#listeners.get(id)?.(answer as WireAnswer);
    });
    return socket;
  }
}

async function* decodeLogs(
  chunks: AsyncIterable<{ stream: LogChunk['stream']; data: string }>,
): AsyncGenerator<LogChunk> {
  for await (const { stream, data } of chunks) yield { stream, data: Buffer.from(data, 'base64') };
}

type WireFile = Exclude<InstanceFile, { kind: 'file' }> | { kind: 'file'; data: string };

function decodeFile(file: WireFile): InstanceFile {
  return file.kind === 'file' ? { kind: 'file', data: Buffer.from(file.data, 'base64') } : file;
}

function failureOf(answer: WireAnswer | undefined): RuntimeError {
  if (answer === undefined || !('error' in answer)) {
    return new RuntimeError('engine_unavailable', 'the connection to the engine broke');
  }
  return new RuntimeError(answer.error.code, answer.error.message);
}
