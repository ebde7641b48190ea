import { type BackoffPolicy, backoffMs } from '../kernel/backoff.ts';
import { messageOf } from '../kernel/errors.ts';
import type { CatalogDeps } from './ports.ts';

/** After a failure, such as an engine that is away. */
const RETRY_BACKOFF: BackoffPolicy = { firstMs: 1_000, capMs: 60_000 };

type UpkeepDeps = Pick<CatalogDeps, 'clock' | 'logger' | 'whenAvailable'>;

/**
 * Does what is due in the background: one piece of work at a time, asked for as often as anybody likes, and tried again
 * until it is done.
 */
export class Upkeep<Task extends string> implements AsyncDisposable {
  readonly #tasks: Readonly<Record<Task, (signal: AbortSignal) => Promise<void>>>;
  readonly #deps: UpkeepDeps;
  readonly #stop = new AbortController();
  readonly #due = new Set<Task>();
  #running: Promise<void> | undefined;
  #retry: Disposable | undefined;
  #failures = 0;

  /** Tasks are done in the order in which they stand here. */
  constructor(tasks: Readonly<Record<Task, (signal: AbortSignal) => Promise<void>>>, deps: UpkeepDeps) {
    this.#tasks = tasks;
    this.#deps = deps;
  }

  want(...tasks: readonly Task[]): void {
    for (const task of tasks) this.#due.add(task);
    this.#begin();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the node stops', 'AbortError'));
    this.#retry?.[Symbol.dispose]();
    await this.#running;
  }

  #begin(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      // Asked for in the very moment in which nothing was left to do.
      if (this.#due.size > 0 && this.#retry === undefined) this.#begin();
    });
  }

  async #work(): Promise<void> {
    const failed = new Map<Task, unknown>();
    const { signal } = this.#stop;
    const { whenAvailable } = this.#deps;
    // It fails only when the node stops.
    if (whenAvailable !== undefined) await whenAvailable(signal).catch(() => undefined);
    if (signal.aborted) return this.#due.clear();
    const isNext = (name: Task): boolean => this.#due.has(name) && !failed.has(name);
    for (;;) {
      const task = (Object.keys(this.#tasks) as Task[]).find(isNext);
      if (task === undefined) break;
      this.#due.delete(task);
      try {
        await this.#tasks[task](signal);
      } catch (error) {
        failed.set(task, error);
      }
      if (signal.aborted) return this.#due.clear();
    }
    const [first] = failed;
    if (first === undefined) this.#failures = 0;
    else this.#tryLater([...failed.keys()], first[1]);
  }

  #tryLater(tasks: readonly Task[], error: unknown): void {
    this.#failures += 1;
    for (const task of tasks) this.#due.add(task);
    const { clock, logger } = this.#deps;
    // Once is enough: an engine that is away is told by others, too.
    const level = this.#failures === 1 ? 'warn' : 'debug';
    logger[level]({ tasks, reason: messageOf(error) }, 'the controllers are not up to date yet; tried again');
    this.#retry = clock.after(backoffMs(RETRY_BACKOFF, this.#failures), () => this.#begin());
  }
}
