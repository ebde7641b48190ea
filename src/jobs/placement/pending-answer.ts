/** An answer that comes once, and may be waited for by many who leave before it does: of one who has left nothing stays. */
export class PendingAnswer<T> {
  #answer: { readonly value: T } | undefined;
  readonly #waiting = new Set<(value: T) => void>();

  /** How many wait for it. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Those that wait are told, and all that come later. Only the first answer counts. */
  settle(value: T): void {
    if (this.#answer !== undefined) return;
    this.#answer = { value };
    for (const resolve of this.#waiting) resolve(value);
    this.#waiting.clear();
  }

  /** Resolves with the answer; fails with the signal's reason when that comes first. */
  wait(signal?: AbortSignal): Promise<T> {
    if (this.#answer !== undefined) return Promise.resolve(this.#answer.value);
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const onAnswer = (value: T): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve(value);
      };
      const onAbort = (): void => {
        this.#waiting.delete(onAnswer);
        reject(signal?.reason as Error);
      };
      this.#waiting.add(onAnswer);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
