import { StringDecoder } from 'node:string_decoder';
import { RpcError } from './rpc-error.ts';

/** Longest line that is held. A log line has 16 KiB at most, and JSON can make six characters of one. */
export const MAX_LINE_CHARS = 1024 * 1024;

/** Cuts a stream of UTF-8 into lines, which may end with LF, CRLF or CR wherever the stream was cut. */
export class LineSplitter {
  readonly #maxChars: number;
  readonly #decoder = new StringDecoder('utf8');
  #partial = '';
  #endedWithCr = false;

  constructor(maxChars = MAX_LINE_CHARS) {
    this.#maxChars = maxChars;
  }

  /** The lines that `chunk` completes. Fails with `bad_reply` when a line is too long. */
  *add(chunk: Buffer): Generator<string> {
    let text = this.#decoder.write(chunk);
    if (this.#endedWithCr && text !== '') {
      this.#endedWithCr = false;
      if (text.startsWith('\n')) text = text.slice(1);
    }
    let start = 0;
    for (const { 0: ending, index } of text.matchAll(/\r\n|\n|\r/g)) {
      yield this.#take(text.slice(start, index));
      start = index + ending.length;
      this.#endedWithCr = ending === '\r' && start === text.length;
    }
    this.#partial += text.slice(start);
    this.#check(this.#partial);
  }

  /** What is left when the stream ends without a last line end; empty when nothing is. */
  end(): string {
    return this.#take(this.#decoder.end());
  }

  #take(text: string): string {
    const line = this.#partial + text;
    this.#partial = '';
    this.#check(line);
    return line;
  }

  #check(line: string): void {
    if (line.length > this.#maxChars) {
      throw new RpcError('bad_reply', `the node sent a line of more than ${this.#maxChars} characters`);
    }
  }
}
