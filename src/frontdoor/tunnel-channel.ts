import { Duplex } from 'node:stream';
import type { Channel } from './opening.ts';
import { MAX_TUNNEL_FRAME_BYTES, type TunnelStream } from './tunnel-network.ts';

/** Nothing is carried for so long: a sign of life, since a stream that is silent is given up, ms. */
const KEEP_ALIVE_MS = 20_000;
/** What waits to be taken or sent, each way. */
const BUFFER_BYTES = 256 * 1024;
const EMPTY = new Uint8Array();

/**
 * A client's bytes over a stream between two nodes, as a socket would have them. An empty frame is a sign of life. The other side is read
 * no faster than its bytes are taken here.
 */
export class TunnelChannel extends Duplex implements Channel {
  bytesRead = 0;
  bytesWritten = 0;
  readonly #stream: TunnelStream;
  readonly #keepAlive: NodeJS.Timeout;
  #isReading = false;

  constructor(stream: TunnelStream) {
    super({ allowHalfOpen: true, autoDestroy: true, highWaterMark: BUFFER_BYTES });
    this.#stream = stream;
    this.#keepAlive = setInterval(() => {
      if (!this.writableEnded) stream.write(EMPTY).catch(() => undefined);
    }, KEEP_ALIVE_MS);
    this.#keepAlive.unref();
  }

  destroySoon(): void {
    this.end(() => this.destroy());
  }

  override _read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.#readOn().catch((error: unknown) => this.destroy(error as Error));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk).then(
      () => done(),
      (error: unknown) => done(error as Error),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.end().then(
      () => done(),
      (error: unknown) => done(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#keepAlive);
    // One that has ended both ways is left alone.
    if (!this.readableEnded || !this.writableFinished)
      this.#stream.abort(error ?? new Error('the connection was closed'));
    done(error);
  }

  async #readOn(): Promise<void> {
    for (let hasRoom = true; hasRoom;) {
      const frame = await this.#stream.read();
      if (frame?.length === 0) continue;
      this.bytesRead += frame?.length ?? 0;
      hasRoom = this.push(frame === undefined ? null : Buffer.from(frame)) && frame !== undefined;
    }
    this.#isReading = false;
  }

  async #send(chunk: Buffer): Promise<void> {
    for (let sent = 0; sent < chunk.length; sent += MAX_TUNNEL_FRAME_BYTES) {
      const piece = chunk.subarray(sent, sent + MAX_TUNNEL_FRAME_BYTES);
      await this.#stream.write(piece);
      this.bytesWritten += piece.length;
    }
  }
}
