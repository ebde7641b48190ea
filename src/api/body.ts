import type { IncomingMessage } from 'node:http';

const EMPTY = Buffer.alloc(0);

/** A longer body is heavy: it takes memory, and milliseconds to read. */
const LIGHT_BODY_BYTES = 64 * 1024;

/** Heavy bodies held at once, over all connections. The others wait in the sockets' buffers, which cost us nothing. */
const MAX_HEAVY_BODIES = 8;

/** Gets the whole body, or `undefined` when it is longer than allowed. */
export type BodyReceiver = (body: Buffer | undefined) => void;

/**
 * Reads bodies of at most `maxBytes`. Light ones are handed over as they end. Of heavy ones a few are read at once and
 * one is handed over per turn of the event loop, so that a hundred of them neither fill the memory nor hold up others.
 */
export class BodyReader {
  readonly #maxBytes: number;
  #heavyCount = 0;
  /** Requests that are to go on when a heavy one is done: at most one per connection. */
  readonly #waiting = new Set<BodyInProgress>();
  #isTurnDue = false;
  readonly #complete: BodyInProgress[] = [];

  constructor(options: { readonly maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  /**
   * Hands the body over once. Beyond the limit it stops reading at once and keeps nothing; the caller answers and
   * closes. When the client goes away in the middle, nobody is called.
   */
  read(request: IncomingMessage, receive: BodyReceiver): void {
    const body = new BodyInProgress(request, receive);
    request.on('data', (chunk: Buffer) => this.#add(body, chunk));
    request.on('end', () => this.#end(body));
  }

  #add(body: BodyInProgress, chunk: Buffer): void {
    if (body.isOver) return;
    body.add(chunk);
    if (body.totalBytes > this.#maxBytes) {
      body.request.pause();
      body.drop();
      body.receive(undefined);
    } else if (body.totalBytes > LIGHT_BODY_BYTES && !body.isHeavy) {
      this.#makeHeavy(body);
    }
  }

  #makeHeavy(body: BodyInProgress): void {
    body.isHeavy = true;
    body.request.once('close', () => this.#closed(body));
    if (this.#heavyCount < MAX_HEAVY_BODIES) {
      this.#heavyCount += 1;
      return;
    }
    body.request.pause();
    this.#waiting.add(body);
  }

  /** A request that closed before its end has a client that went away, or one that was refused. */
  #closed(body: BodyInProgress): void {
    if (body.hasEnded) return;
    body.drop();
    if (!this.#waiting.delete(body)) this.#release();
  }

  /** A heavy body is done: the next one may be read. */
  #release(): void {
    this.#heavyCount -= 1;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#heavyCount += 1;
    next.request.resume();
  }

  #end(body: BodyInProgress): void {
    if (!body.isHeavy) {
      if (!body.isOver) body.receive(body.take());
      return;
    }
    body.hasEnded = true;
    this.#complete.push(body);
    this.#armTurn();
  }

  #armTurn(): void {
    if (this.#isTurnDue || this.#complete.length === 0) return;
    this.#isTurnDue = true;
    setImmediate(() => {
      this.#isTurnDue = false;
      const body = this.#complete.shift();
      if (body === undefined) return;
      // First the others: what a receiver throws must not keep them waiting.
      this.#armTurn();
      this.#release();
      if (!body.isOver) body.receive(body.take());
    });
  }
}

class BodyInProgress {
  readonly request: IncomingMessage;
  readonly receive: BodyReceiver;
  totalBytes = 0;
  isHeavy = false;
  hasEnded = false;
  /** Handed over, or given up. */
  isOver = false;
  #first: Buffer = EMPTY;
  #chunks: Buffer[] | undefined;

  constructor(request: IncomingMessage, receive: BodyReceiver) {
    this.request = request;
    this.receive = receive;
  }

  add(chunk: Buffer): void {
    this.totalBytes += chunk.length;
    if (this.#first.length === 0) {
      this.#first = chunk;
    } else {
      this.#chunks ??= [this.#first];
      this.#chunks.push(chunk);
    }
  }

  /** The whole body; most arrive in one piece and are not copied. */
  take(): Buffer {
    const body = this.#chunks === undefined ? this.#first : Buffer.concat(this.#chunks, this.totalBytes);
    this.drop();
    return body;
  }

  drop(): void {
    this.isOver = true;
    this.#first = EMPTY;
    this.#chunks = undefined;
  }
}
