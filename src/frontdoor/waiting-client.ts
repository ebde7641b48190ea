import type { Socket } from 'node:net';

/** What a client may send before it has its answer, bytes: none does that is not broken. */
const MAX_EARLY_BYTES = 64 * 1024;

/** A client whose request is not answered yet. Tells when it goes, and keeps what it sends too early. */
export class WaitingClient implements Disposable {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  readonly #early: Buffer[] = [];
  #earlyBytes = 0;

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    this.#keep(head);
    socket.on('data', this.#keep);
    socket.once('end', this.#leave);
    socket.once('close', this.#leave);
    if (socket.destroyed || socket.readableEnded) this.#leave();
    // An end is only seen by who reads.
    socket.resume();
  }

  /** Aborted when the client has gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** What it has sent so far, to be passed on first. */
  get early(): Buffer {
    return Buffer.concat(this.#early);
  }

  /** From now on somebody else reads; until they do nothing is lost. */
  [Symbol.dispose](): void {
    this.#socket.pause();
    this.#socket.off('data', this.#keep);
    this.#socket.off('end', this.#leave);
    this.#socket.off('close', this.#leave);
  }

  readonly #keep = (chunk: Buffer): void => {
    if (chunk.length > 0) this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#socket.destroy();
  };

  readonly #leave = (): void => {
    this.#gone.abort(new DOMException('the client went away', 'AbortError'));
  };
}
