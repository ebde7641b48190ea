import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { CORES, pinned } from './cores.ts';

/** Of what a program says when it gives up. */
const MAX_LAST_WORDS_LENGTH = 2_000;

/** One of our own programs on the core of the load. It prints lines of JSON, and ends when it is disposed. */
export class NativeProcess implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  #lastWords = '';

  constructor(program: string, args: readonly string[]) {
    this.#process = spawn(...pinned(CORES.load, program, args), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = once(this.#process, 'close');
    // Whoever waits for a line is told of it.
    this.#ended.catch(() => undefined);
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-MAX_LAST_WORDS_LENGTH);
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** The next line; fails when the program ends without one. */
  async next<Line>(): Promise<Line> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return JSON.parse(value) as Line;
    await this.#ended;
    throw new Error(`${this.#process.spawnargs.join(' ')} ended: ${this.#lastWords}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
  }
}
