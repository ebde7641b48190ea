import { PeerError } from '../errors.ts';
import { ByteQueue } from './byte-queue.ts';

/** Bytes of a length; four hold 256 MiB, more than any frame has. */
const MAX_LENGTH_BYTES = 4;
/** With so much at hand, and a frame among it, nothing more is asked for. */
const READ_AHEAD_BYTES = 256 * 1024;

/**
 * Cuts what arrives into frames: each is an unsigned varint, its length, and so many bytes. The length is judged before
 * anything is kept for it.
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #arrived = new ByteQueue();
  /** Of the frame in front, once its length is known. */
  #frameBytes: number | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Whether who sends should wait. Never without a frame to read, however long that is. */
  get isFull(): boolean {
    return this.#arrived.length >= READ_AHEAD_BYTES && this.#isFrameWhole;
  }

  /** Whether the end would come in the middle of a frame. */
  get isInsideFrame(): boolean {
    return this.#frameBytes !== undefined || this.#arrived.length > 0;
  }

  /** Fails with a `PeerError` `peer_violation` for a frame that is too long. */
  push(bytes: Uint8Array): void {
    this.#arrived.push(bytes);
    this.#readLength();
  }

  /** The next whole frame. */
  take(): Uint8Array | undefined {
    if (!this.#isFrameWhole) return undefined;
    const frame = this.#arrived.take(this.#frameBytes as number);
    this.#frameBytes = undefined;
    this.#readLength();
    return frame;
  }

  get #isFrameWhole(): boolean {
    return this.#frameBytes !== undefined && this.#arrived.length >= this.#frameBytes;
  }

  #readLength(): void {
    if (this.#frameBytes !== undefined) return;
    let length = 0;
    for (let index = 0; index < this.#arrived.length; index++) {
      const byte = this.#arrived.at(index);
      length += (byte & 0x7f) * 2 ** (7 * index);
      if (length > this.#maxFrameBytes || index >= MAX_LENGTH_BYTES) throw this.#tooLong(length);
      if (byte < 0x80) {
        this.#arrived.take(index + 1);
        this.#frameBytes = length;
        return;
      }
    }
  }

  #tooLong(length: number): PeerError {
    return new PeerError(
      'peer_violation',
      `the peer sent a frame of at least ${length} bytes; ${this.#maxFrameBytes} are allowed`,
    );
  }
}

/** The frame as it is sent. */
export function encodeFrame(frame: Uint8Array): Uint8Array {
  const header: number[] = [];
  let length = frame.length;
  for (; length >= 0x80; length >>>= 7) header.push((length & 0x7f) | 0x80);
  header.push(length);
  const encoded = new Uint8Array(header.length + frame.length);
  encoded.set(header);
  encoded.set(frame, header.length);
  return encoded;
}
