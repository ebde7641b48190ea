import type { Clock } from '../kernel/clock.ts';
import { CodedError, InvariantError, messageOf } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { abortable } from '../kernel/single-flight.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  CALL_PROTOCOL,
  dataFrame,
  decodeReply,
  END_FRAME,
  errorFrame,
  PeerCallError,
} from './call-frames.ts';
import { CallPlaces } from './call-places.ts';
import { PeerError, unreachable } from './errors.ts';
import type { PeerNetwork, PeerStream } from './network.ts';
import { ReplyWriter } from './reply-writer.ts';
import { SilenceWatch } from './silence-watch.ts';

export { MAX_CALL_BYTES, PeerCallError } from './call-frames.ts';

/** A peer that is silent for so long has gone: a living one gives a sign of life at least twice in that time. */
const MAX_SILENCE_MS = 30_000;
/** How long a caller may take to say what it wants. */
const REQUEST_LIMIT_MS = 10_000;
/** When one that found no place may come again. */
const BUSY_RETRY_MS = 1_000;

/**
 * Answers a call with pieces of at most `MAX_CALL_BYTES`, and is not asked for the next before the caller has room for it.
 * A `CodedError` reaches the caller as it is. `signal` is aborted when the caller has left.
 */
export type CallHandler = (
  request: Uint8Array,
  from: NodeId,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

export interface PeerCallsDependencies {
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of a broken invariant that a call ran into. */
  readonly onInvariantError: (error: InvariantError) => void;
}

export interface CallOptions {
  /** It may take minutes. */
  readonly isLong?: boolean;
}

/** Asks other nodes to do something, and does what they ask. What is asked is not known here. */
export class PeerCalls {
  readonly #deps: PeerCallsDependencies;
  readonly #served = new CallPlaces();
  readonly #made = new CallPlaces();

  constructor(deps: PeerCallsDependencies) {
    this.#deps = deps;
  }

  /**
   * Sends a request, once, and gives what comes back, piece by piece, no faster than it is read. Whoever stops reading, or
   * aborts the signal, ends it there too.
   * Fails with what the peer answers, a `PeerCallError`; with one of code `busy` when too many calls are under way, there or
   * here; with a `PeerError` `peer_unreachable` when it cannot be reached (`sent: false` among its details says that the request
   * was not sent) or is heard no more before its answer is whole, and nobody knows then whether the request was carried out; with
   * the signal's reason.
   */
  async *call(
    peer: NodeId,
    request: Uint8Array,
    signal: AbortSignal,
    { isLong = false }: CallOptions = {},
  ): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    // The peer would refuse it as well, and take a stream for that.
    using place = this.#made.take(peer, isLong);
    if (place === undefined) throw busy();
    const stream = await this.#deps.network.open(peer, CALL_PROTOCOL, signal).catch((error: unknown) => {
      throw notSent(error);
    });
    let isOver = false;
    let isSilent = false;
    const onAbort = (): void => stream.abort(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    using watch = new SilenceWatch(this.#deps.clock, MAX_SILENCE_MS, () => {
      isSilent = true;
      stream.abort(silent(peer));
    });
    const step = async <T>(promise: Promise<T>): Promise<T> => {
      try {
        return await watch.during(promise);
      } catch (error) {
        signal.throwIfAborted();
        throw isSilent ? silent(peer) : brokenOff(peer, error);
      }
    };
    try {
      await step(stream.write(request));
      for (;;) {
        const frame = await step(stream.read());
        signal.throwIfAborted();
        if (frame === undefined) throw brokenOff(peer);
        const reply = decodeReply(frame);
        isOver = reply.kind === 'end' || reply.kind === 'error';
        if (reply.kind === 'end') return;
        if (reply.kind === 'error') throw reply.error;
        if (reply.kind === 'data') yield reply.data;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (isOver) stream.end().catch(() => undefined);
      else stream.abort(new DOMException('the caller has left', 'AbortError'));
    }
  }

  /** Answers calls with `handler` from now on. Once. */
  serve(handler: CallHandler): void {
    this.#deps.network.handle(CALL_PROTOCOL, (stream, from, signal) =>
      this.#answer(handler, stream, from, signal),
    );
  }

  async #answer(handler: CallHandler, stream: PeerStream, from: NodeId, signal: AbortSignal): Promise<void> {
    using place = this.#served.take(from);
    if (place === undefined) return stream.write(errorFrame(busy()));
    const request = await this.#requestOf(stream, signal);
    if (request === undefined) return;
    using writer = new ReplyWriter(stream, this.#deps.clock);
    try {
      await sendAll(handler(request, from, signal), writer, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      await writer.send(errorFrame(this.#toldError(error, from)));
    }
  }

  async #requestOf(stream: PeerStream, signal: AbortSignal): Promise<Uint8Array | undefined> {
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs: REQUEST_LIMIT_MS });
    return await abortable(stream.read(), limited.signal);
  }

  /** Ours keep their code, message and facts; of any other nothing is told. */
  #toldError(error: unknown, from: NodeId): CodedError {
    if (error instanceof CodedError) return error;
    const { logger, onInvariantError } = this.#deps;
    logger.error({ err: error, peer: from }, 'call of a peer failed');
    if (error instanceof InvariantError) onInvariantError(error);
    return new PeerCallError('internal_error', "the peer failed; see that node's log");
  }
}

async function sendAll(
  pieces: AsyncIterable<Uint8Array>,
  writer: ReplyWriter,
  signal: AbortSignal,
): Promise<void> {
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await abortable(iterator.next(), signal);
      if (step.done === true) break;
      await writer.send(dataFrame(step.value));
    }
  } finally {
    // It may be in the middle of a step, which the signal ends; nobody needs to wait for that.
    iterator.return?.().catch(() => undefined);
  }
  await writer.send(END_FRAME);
}

function notSent(error: unknown): unknown {
  if (!(error instanceof PeerError)) return error;
  const { code, message, details, retryable } = error;
  return new PeerError(code, message, { cause: error, details: { ...details, sent: false }, retryable });
}

function busy(): PeerCallError {
  return new PeerCallError('busy', 'as many calls are under way as may be', {
    retryable: true,
    retryAfterMs: BUSY_RETRY_MS,
  });
}

function silent(peer: NodeId): PeerError {
  return unreachable(peer, `was not heard for ${MAX_SILENCE_MS} ms`);
}

function brokenOff(peer: NodeId, cause?: unknown): PeerError {
  const why = cause === undefined ? '' : `: ${messageOf(cause)}`;
  return unreachable(peer, `broke off before its answer was whole${why}`, cause);
}
