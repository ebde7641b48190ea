import type { Clock } from './clock.ts';

export interface LinkedSignalOptions {
  readonly clock: Clock;
  /** Aborts with a TimeoutError after so long; 0 is never. */
  readonly limitMs: number;
}

/**
 * A signal that is aborted with the first of its sources, or when its time is over. Dispose it, and nothing of it stays:
 * `AbortSignal.any` leaves something behind on each source for as long as that lives, and `AbortSignal.timeout` lives
 * until its time is over.
 */
export class LinkedSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #cleanUp = new DisposableStack();
  #isTimedOut = false;

  constructor(sources: readonly AbortSignal[], options?: LinkedSignalOptions) {
    for (const source of sources) this.#follow(source);
    if (options === undefined || options.limitMs === 0) return;
    this.#cleanUp.use(
      options.clock.after(options.limitMs, () => {
        this.#isTimedOut = true;
        this.#controller.abort(new DOMException('the time is over', 'TimeoutError'));
      }),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the time was over before any source was aborted. */
  get isTimedOut(): boolean {
    return this.#isTimedOut;
  }

  /** Lets go of the sources; the signal stays as it is. */
  [Symbol.dispose](): void {
    this.#cleanUp.dispose();
  }

  #follow(source: AbortSignal): void {
    if (source.aborted) return this.#controller.abort(source.reason);
    const onAbort = (): void => {
      this.#cleanUp.dispose();
      this.#controller.abort(source.reason);
    };
    source.addEventListener('abort', onAbort, { once: true });
    this.#cleanUp.defer(() => source.removeEventListener('abort', onAbort));
  }
}
