/** What is being measured right now, on stderr: one line that changes on a terminal, a line per suite elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #startedMs = performance.now();
  #suite = '';

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  suite(title: string): void {
    this.#suite = title;
    if (!this.#stream.isTTY) this.#stream.write(`${this.#clock()} ${title}\n`);
    else this.step('');
  }

  step(text: string): void {
    if (this.#stream.isTTY) this.#rewrite(`${this.#clock()} ${this.#suite} ${text}`);
  }

  /** Leaves nothing behind on the line. */
  clear(): void {
    if (this.#stream.isTTY) this.#rewrite('');
  }

  #rewrite(text: string): void {
    this.#stream.write(`\r\u001b[K${text.slice(0, this.#stream.columns - 1)}`);
  }

  #clock(): string {
    return `${String(Math.round((performance.now() - this.#startedMs) / 1000)).padStart(4)} s`;
  }
}
