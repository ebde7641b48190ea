import { LineSplitter, MAX_LINE_CHARS } from './line-splitter.ts';
import { RpcError } from './rpc-error.ts';

/** One server-sent event. */
export interface SseMessage {
  /** `message` unless the server named it. */
  readonly event: string;
  readonly data: string;
  /** The last id that was sent, with this event or before it; empty when none was. */
  readonly lastEventId: string;
}

/** Longest pause before a reconnect that a server may ask for, ms. */
const MAX_RETRY_MS = 60_000;

/** Reads `text/event-stream` as the HTML standard has it, with bounds. */
export class SseParser {
  readonly #lines: LineSplitter;
  readonly #maxDataChars: number;
  #isFirstLine = true;
  #event = '';
  #data: string[] = [];
  #dataChars = 0;
  #lastEventId = '';
  #retryMs: number | undefined;

  constructor(maxDataChars = MAX_LINE_CHARS) {
    this.#lines = new LineSplitter(maxDataChars);
    this.#maxDataChars = maxDataChars;
  }

  /** How long the server wants a client to wait before it connects again, where it said so. */
  get retryMs(): number | undefined {
    return this.#retryMs;
  }

  /** The events that `chunk` completes. Fails with `bad_reply` when a line or an event is too long. */
  *add(chunk: Buffer): Generator<SseMessage> {
    for (const line of this.#lines.add(chunk)) {
      const message = this.#line(this.#isFirstLine ? line.replace(/^\uFEFF/, '') : line);
      this.#isFirstLine = false;
      if (message !== undefined) yield message;
    }
  }

  #line(line: string): SseMessage | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    this.#field(field, value);
    return undefined;
  }

  #field(field: string, value: string): void {
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#addData(value);
    else if (field === 'id' && !value.includes('\0')) this.#lastEventId = value;
    else if (field === 'retry' && /^\d{1,9}$/.test(value)) {
      this.#retryMs = Math.min(MAX_RETRY_MS, Number(value));
    }
  }

  #addData(value: string): void {
    this.#dataChars += value.length + 1;
    if (this.#dataChars > this.#maxDataChars) {
      throw new RpcError('bad_reply', `the node sent an event of more than ${this.#maxDataChars} characters`);
    }
    this.#data.push(value);
  }

  /** An event without data is none. */
  #dispatch(): SseMessage | undefined {
    const [event, data] = [this.#event, this.#data];
    this.#event = '';
    this.#data = [];
    this.#dataChars = 0;
    if (data.length === 0) return undefined;
    return { event: event === '' ? 'message' : event, data: data.join('\n'), lastEventId: this.#lastEventId };
  }
}
