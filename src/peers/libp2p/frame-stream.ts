import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import { PeerError } from '../errors.ts';
import type { PeerStream } from '../network.ts';
import { encodeFrame, FrameReader } from './frame-reader.ts';
import { STREAM_IDLE_LIMIT_MS, STREAM_WRITE_BYTES } from './limits.ts';

/**
 * A frame goes out in pieces of this size: handed over as a whole, one that is longer than the write buffer would have the
 * stream reset.
 */
const PIECE_BYTES = 64 * 1024;

/**
 * Frames over a libp2p stream. libp2p's own length-prefixed streams give up a stream whose reader is slow, when a buffer is
 * full; here the other side is paused, and waits.
 */
export class FrameStream implements PeerStream {
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #maxFrameBytes: number;
  readonly #reader: FrameReader;
  readonly #broken = new AbortController();
  #lastWrite: Promise<void> = Promise.resolve();
  #wakeReader: (() => void) | undefined;
  /** There is one at most: writes go one after the other. */
  #wakeWriter: (() => void) | undefined;
  #hasRemoteEnded: boolean;
  #hasEnded = false;
  #isResuming = false;
  #lastMovedMs: number;
  #idleCheck: Disposable | undefined;

  constructor(stream: Stream, options: { readonly maxFrameBytes: number; readonly clock: Clock }) {
    this.#stream = stream;
    this.#clock = options.clock;
    this.#maxFrameBytes = options.maxFrameBytes;
    this.#reader = new FrameReader(options.maxFrameBytes);
    this.#hasRemoteEnded = stream.remoteWriteStatus === 'closed';
    this.#lastMovedMs = options.clock.monotonicMs();
    stream.maxWriteBufferLength = STREAM_WRITE_BYTES;
    stream.addEventListener('close', this.#onClose);
    stream.addEventListener('remoteCloseWrite', this.#onRemoteEnd);
    stream.addEventListener('end', this.#onMove);
    stream.addEventListener('message', this.#onMessage);
    stream.addEventListener('drain', () => this.#wakeWriter?.());
    if (stream.status === 'open') this.#scheduleIdleCheck(STREAM_IDLE_LIMIT_MS);
    else this.#break(new Error(`the stream is ${stream.status}`));
  }

  /** Aborted when the stream has broken: by either side, or with its connection. Not when both sides have ended. */
  get signal(): AbortSignal {
    return this.#broken.signal;
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      this.#broken.signal.throwIfAborted();
      if (this.#hasRemoteEnded && this.#stream.readBufferLength === 0) {
        if (!this.#reader.isInsideFrame) return undefined;
        throw this.#violated(new PeerError('peer_violation', 'the peer ended in the middle of a frame'));
      }
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
  }

  write(frame: Uint8Array): Promise<void> {
    if (frame.length > this.#maxFrameBytes)
      return Promise.reject(
        new RangeError(`a frame of ${frame.length} bytes; ${this.#maxFrameBytes} are allowed`),
      );
    const bytes = encodeFrame(frame);
    const written = this.#lastWrite.then(() => this.#send(bytes));
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }

  async end(): Promise<void> {
    await this.#lastWrite;
    this.#hasEnded = true;
    await this.#stream.close({ signal: this.#broken.signal });
  }

  abort(reason: Error): void {
    this.#stream.abort(reason);
  }

  #take(): Uint8Array | undefined {
    try {
      const frame = this.#reader.take();
      if (this.#stream.readStatus === 'paused' && !this.#reader.isFull) this.#resume();
      return frame;
    } catch (error) {
      throw this.#violated(error as Error);
    }
  }

  /**
   * libp2p hands over what it has kept, and only then opens the window again: a pause in between would be lost, and the other
   * side would send until the stream is reset.
   */
  #resume(): void {
    this.#isResuming = true;
    this.#stream.resume();
    this.#isResuming = false;
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#reader.isFull && !this.#isResuming && this.#stream.readStatus === 'readable')
      this.#stream.pause();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length; sent += PIECE_BYTES) {
      this.#broken.signal.throwIfAborted();
      if (this.#stream.send(bytes.subarray(sent, sent + PIECE_BYTES))) this.#moved();
      else await this.#drained();
    }
  }

  /** libp2p goes on sending right after the event: only then it is known whether there is room. */
  async #drained(): Promise<void> {
    const { signal } = this.#broken;
    while (this.#stream.writableNeedsDrain && !signal.aborted)
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
    signal.throwIfAborted();
    this.#moved();
  }

  #violated(error: Error): Error {
    this.#stream.abort(error);
    return error;
  }

  readonly #onMessage = ({ data }: StreamMessageEvent): void => {
    this.#moved();
    try {
      this.#reader.push(data.subarray());
      this.#pauseIfFull();
    } catch (error) {
      this.#break(error as Error);
      // Not from within: libp2p is in the middle of handing over.
      queueMicrotask(() => this.#stream.abort(error as Error));
    }
    this.#wakeReader?.();
  };

  readonly #onRemoteEnd = (): void => {
    this.#hasRemoteEnded = true;
    this.#onMove();
  };

  readonly #onMove = (): void => {
    this.#moved();
    this.#wakeReader?.();
  };

  readonly #onClose = (event: StreamCloseEvent): void => {
    this.#idleCheck?.[Symbol.dispose]();
    const isWhole = event.error === undefined && this.#hasRemoteEnded && this.#hasEnded;
    if (!isWhole) this.#break(event.error ?? new Error('the connection ended'));
    this.#wakeReader?.();
  };

  #break(cause: Error): void {
    if (this.#broken.signal.aborted) return;
    const error =
      cause instanceof PeerError
        ? cause
        : new PeerError('peer_unreachable', `the stream broke: ${cause.message}`, { cause, retryable: true });
    this.#broken.abort(error);
    this.#wakeWriter?.();
  }

  #moved(): void {
    this.#lastMovedMs = this.#clock.monotonicMs();
  }

  #scheduleIdleCheck(delayMs: number): void {
    this.#idleCheck = this.#clock.after(delayMs, () => {
      const idleMs = this.#clock.monotonicMs() - this.#lastMovedMs;
      if (idleMs >= STREAM_IDLE_LIMIT_MS)
        this.#stream.abort(new Error(`nothing moved for ${STREAM_IDLE_LIMIT_MS} ms`));
      else this.#scheduleIdleCheck(STREAM_IDLE_LIMIT_MS - idleMs);
    });
  }
}
