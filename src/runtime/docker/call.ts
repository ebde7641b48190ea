import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { Clock } from '../../kernel/clock.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { RuntimeError } from '../errors.ts';
import type { EngineConnection } from './connection.ts';
import { type CallKind, translateError } from './translate-error.ts';

export interface CallOptions {
  readonly kind: CallKind;
  /** For people: what was tried. */
  readonly what: string;
  /** Until the reply is complete or, for a stream, has begun. */
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A reply that is read bit by bit. Dispose to close its connection. */
export interface EngineStream extends Disposable {
  /**
   * Ends with the stream, and when the caller's signal is aborted; fails when the connection breaks, or when
   * nothing comes for `idleMs` while the reader waits.
   */
  chunks(idleMs?: number): AsyncIterable<Buffer>;
}

/** Every call to the engine goes through here: limited in time, abortable, its errors translated. It always settles. */
export class EngineCalls implements Disposable {
  readonly #connection: EngineConnection;
  readonly #clock: Clock;
  readonly #lifetimes = new Set<Lifetime>();
  #isClosed = false;

  constructor(connection: EngineConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  async run<T>(
    options: CallOptions,
    work: (docker: Docker, abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const lifetime = this.#begin(options);
    try {
      return await this.#attempt(options, lifetime, work);
    } finally {
      this.#end(lifetime);
    }
  }

  async open(
    options: CallOptions,
    work: (docker: Docker, abortSignal: AbortSignal) => Promise<NodeJS.ReadableStream>,
  ): Promise<EngineStream> {
    const lifetime = this.#begin(options);
    try {
      const response = (await this.#attempt(options, lifetime, work)) as IncomingMessage;
      lifetime.endLimit();
      const release = (): void => {
        response.destroy();
        this.#end(lifetime);
      };
      return {
        chunks: (idleMs) => this.#chunks(response, options, lifetime, idleMs),
        [Symbol.dispose]: release,
      };
    } catch (error) {
      this.#end(lifetime);
      throw error;
    }
  }

  /** Ends every call under way, and refuses further ones. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const lifetime of this.#lifetimes) lifetime.abort(closedError());
  }

  async #attempt<T>(
    options: CallOptions,
    lifetime: Lifetime,
    work: (docker: Docker, abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { signal } = lifetime;
    let docker = this.#connection.current;
    try {
      signal.throwIfAborted();
      docker ??= await this.#connection.connect(signal);
      signal.throwIfAborted();
      // The signal ends the request too; the race makes sure of it, whatever the request does.
      return await abortable(work(docker, signal), signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const translated = translateError(error, options.kind, options.what);
      if (translated.code === 'engine_unavailable' && docker !== undefined) this.#connection.forget(docker);
      throw translated;
    }
  }

  async *#chunks(
    response: Readable,
    options: CallOptions,
    lifetime: Lifetime,
    idleMs: number | undefined,
  ): AsyncIterable<Buffer> {
    const { signal } = lifetime;
    try {
      const iterator = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      for (;;) {
        signal.throwIfAborted();
        if (idleMs !== undefined) lifetime.limit(idleMs, `nothing came for ${idleMs} ms`);
        const next = await abortable(iterator.next(), signal);
        lifetime.endLimit();
        if (next.done === true) return;
        yield next.value;
      }
    } catch (error) {
      if (!signal.aborted) throw translateError(error, options.kind, options.what);
      // The caller wants no more, which is no failure; being cut off by us is.
      if (!lifetime.isAbortedByCaller) throw signal.reason;
    } finally {
      response.destroy();
    }
  }

  #begin(options: CallOptions): Lifetime {
    const lifetime = new Lifetime(options, this.#clock);
    if (this.#isClosed) lifetime.abort(closedError());
    this.#lifetimes.add(lifetime);
    lifetime.limit(options.limitMs, `no answer within ${options.limitMs} ms`);
    return lifetime;
  }

  #end(lifetime: Lifetime): void {
    lifetime[Symbol.dispose]();
    this.#lifetimes.delete(lifetime);
  }
}

function closedError(): RuntimeError {
  return new RuntimeError('engine_unavailable', 'the driver has been closed');
}

/** What can end a call early: the caller, the time limit, or the driver's own end. */
class Lifetime implements Disposable {
  readonly #controller = new AbortController();
  readonly #options: CallOptions;
  readonly #clock: Clock;
  readonly #onCallerAbort = (): void => this.#controller.abort(this.#options.signal?.reason);
  #timer: Disposable | undefined;

  constructor(options: CallOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    if (options.signal?.aborted) this.#onCallerAbort();
    else options.signal?.addEventListener('abort', this.#onCallerAbort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isAbortedByCaller(): boolean {
    return this.#options.signal?.aborted === true && this.signal.reason === this.#options.signal.reason;
  }

  limit(limitMs: number, problem: string): void {
    this.endLimit();
    this.#timer = this.#clock.after(limitMs, () => {
      this.abort(new RuntimeError('timeout', `${this.#options.what}: ${problem}`));
    });
  }

  endLimit(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.endLimit();
    this.#options.signal?.removeEventListener('abort', this.#onCallerAbort);
  }
}
