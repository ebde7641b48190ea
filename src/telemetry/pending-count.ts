/**
 * A counter's series that adds up here and is handed over when somebody looks: the library takes ten times as long
 * for one increment, and some are made for every request.
 */
export class PendingCount {
  readonly #handOver: (count: number) => void;
  #pending = 0;

  constructor(handOver: (count: number) => void) {
    this.#handOver = handOver;
  }

  inc(count = 1): void {
    this.#pending += count;
  }

  flush(): void {
    this.#handOver(this.#pending);
    this.#pending = 0;
  }
}
