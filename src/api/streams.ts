import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Clock } from '../kernel/clock.ts';
import { ApiError } from './errors.ts';

/** Why a stream is over although nothing went wrong. */
export const STOPPING = new DOMException('the node is stopping', 'AbortError');

/** How long a refused client should wait for one of the streams to end. */
const RETRY_AFTER_MS = 5_000;

/** The open streams: no more than so many at once, all ended by one call. */
export class Streams {
  readonly #maxStreams: number;
  readonly #open = new Set<AbortController>();
  #isStopping = false;

  constructor(options: { readonly maxStreams: number }) {
    this.#maxStreams = options.maxStreams;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Enters a stream. Its signal is aborted when the client goes, and with `STOPPING` when the node stops; dispose when
   * it is over. Fails with `too_many_streams`.
   */
  enter(response: ServerResponse): { readonly signal: AbortSignal } & Disposable {
    if (this.#open.size >= this.#maxStreams || this.#isStopping) {
      const details = { max_streams: this.#maxStreams };
      throw new ApiError('too_many_streams', `${this.#open.size} streams are open already`, {
        details,
        retryable: true,
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    const abort = new AbortController();
    const leave = (): void => abort.abort(new DOMException('the client went away', 'AbortError'));
    this.#open.add(abort);
    response.once('close', leave);
    if (response.destroyed) leave();
    return {
      signal: abort.signal,
      [Symbol.dispose]: () => {
        response.off('close', leave);
        this.#open.delete(abort);
        // Whatever still waits for something on behalf of this stream is to stop.
        abort.abort(new DOMException('the stream is over', 'AbortError'));
      },
    };
  }

  /** Ends every stream, and lets none begin. */
  stop(): void {
    this.#isStopping = true;
    for (const abort of this.#open) abort.abort(STOPPING);
  }
}

/** Bytes handed to the socket at once. A stalled client is told from a slow one by whether it takes as many. */
const WRITE_BYTES = 16 * 1024;

/** Writes to a client no faster than it reads, so that one who reads slowly costs one buffer. */
export class PacedWriter {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  readonly #stallTimeoutMs: number;

  constructor(
    response: ServerResponse,
    options: { readonly stallTimeoutMs: number },
    deps: { readonly clock: Clock },
  ) {
    this.#response = response;
    this.#clock = deps.clock;
    this.#stallTimeoutMs = options.stallTimeoutMs;
  }

  /** Resolves when there is room for more. Drops the client, and fails, when it takes nothing for too long. */
  async write(data: string | Buffer, signal: AbortSignal): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let start = 0; start < bytes.length; start += WRITE_BYTES) {
      signal.throwIfAborted();
      if (!this.#response.write(bytes.subarray(start, start + WRITE_BYTES))) await this.#drained(signal);
    }
  }

  async #drained(signal: AbortSignal): Promise<void> {
    const stalled = this.#clock.after(this.#stallTimeoutMs, () => this.#response.destroy());
    try {
      // A destroyed response aborts the signal.
      await once(this.#response, 'drain', { signal });
    } finally {
      stalled[Symbol.dispose]();
    }
  }
}
