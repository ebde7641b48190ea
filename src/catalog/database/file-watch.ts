import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** An editor writes in several steps. */
const SETTLE_MS = 100;
/** Events get lost: on network file systems, by a directory that is replaced, beyond the system's limits. */
const POLL_INTERVAL_MS = 5_000;

/** Calls `onHint` soon after a file may have changed, and once an interval in any case. */
export class FileWatch implements Disposable {
  readonly #deps: { readonly clock: Clock; readonly logger: Logger };
  readonly #onHint: () => void;
  #watcher: FSWatcher | undefined;
  #next: Disposable | undefined;
  #isSoon = false;
  #isClosed = false;

  constructor(file: string, onHint: () => void, deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.#deps = deps;
    this.#onHint = onHint;
    this.#watch(dirname(file), basename(file));
    this.#schedule(POLL_INTERVAL_MS);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#watcher?.close();
    this.#next?.[Symbol.dispose]();
  }

  /** The directory, since a file that is replaced takes its watch with it. */
  #watch(directory: string, name: string): void {
    const onError = (err: unknown): void => {
      this.#watcher?.close();
      this.#deps.logger.warn(
        { err, directory },
        'the controllers are not watched, only looked at now and then',
      );
    };
    try {
      this.#watcher = watch(directory, { persistent: false }, (_event, changed) => {
        const isOther = changed !== null && changed !== name;
        // Further events of one edit do not put it off for ever.
        if (!isOther && !this.#isSoon) this.#schedule(SETTLE_MS);
      });
      this.#watcher.on('error', onError);
    } catch (err) {
      onError(err);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#next?.[Symbol.dispose]();
    this.#isSoon = delayMs === SETTLE_MS;
    this.#next = this.#deps.clock.after(delayMs, () => {
      this.#schedule(POLL_INTERVAL_MS);
      this.#onHint();
    });
  }
}
