/** A call whose work is shared: one run under way per key, aborted when its last waiter has left. */
export class SingleFlight<Key, Result> {
  readonly #flights = new Map<Key, { result: Promise<Result>; waiters: number; abort: AbortController }>();

  /** How many runs are under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** Whether there is a run under way to be joined. */
  has(key: Key): boolean {
    return this.#flights.has(key);
  }

  /**
   * Joins the run for `key`, or begins it. When `signal` is aborted this waiter leaves at once with the signal's
   * reason; the others are not disturbed.
   */
  async run(key: Key, work: (signal: AbortSignal) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    signal?.throwIfAborted();
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      const abort = new AbortController();
      const result = work(abort.signal).finally(() => {
        if (this.#flights.get(key)?.abort === abort) this.#flights.delete(key);
      });
      // Every waiter may have left by the time it fails.
      result.catch(() => undefined);
      flight = { result, waiters: 0, abort };
      this.#flights.set(key, flight);
    }
    flight.waiters += 1;
    try {
      return await (signal === undefined ? flight.result : abortable(flight.result, signal));
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        // A later caller must not join a run that is being aborted.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.abort.abort(new DOMException('the last waiter has left', 'AbortError'));
      }
    }
  }
}

/** `promise`, or the signal's reason if that comes first. The promise itself goes on, and may fail unheard. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => undefined);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
