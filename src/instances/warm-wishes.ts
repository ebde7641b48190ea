import { backoffMs, type BackoffPolicy } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { type InstanceKind, type InstanceWish, isAsGoodAs, wishFor } from './instance-job.ts';
import type { InstanceTemplate } from './template.ts';

/** So many of a kind are to be ready before anybody asks. */
export interface WarmWish extends InstanceWish {
  readonly count: number;
}

/** What cannot be started is tried again less and less often. */
const RETRY: BackoffPolicy = { firstMs: 1_000, capMs: 60_000 };

/** Which instances are to be kept warm, and which of them not just now since they could not be started. */
export class WarmWishes implements Disposable {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  /** By the key of their kind, as what has failed is. */
  #wishes = new Map<string, WarmWish>();
  readonly #failures = new Map<string, { count: number; retry: Disposable | undefined }>();

  /** `onDue` is called when one that has failed may be tried again. */
  constructor(onDue: () => void, deps: { readonly clock: Clock }) {
    this.#onDue = onDue;
    this.#clock = deps.clock;
  }

  /** In the place of those before. */
  set(templates: readonly { readonly template: InstanceTemplate; readonly count: number }[]): void {
    const wishes = templates
      .filter(({ count }) => count > 0)
      .map(({ template, count }) => ({ ...wishFor(template), count }));
    this.#wishes = new Map(wishes.map((wish) => [wish.kind.key, wish]));
    for (const key of this.#failures.keys()) if (!this.#wishes.has(key)) this.#forgetFailures(key);
  }

  countOf(kind: InstanceKind): number {
    const wish = this.#wishes.get(kind.key);
    return wish !== undefined && isAsGoodAs(kind, wish.kind) ? wish.count : 0;
  }

  /** Those that may be started now. */
  due(): WarmWish[] {
    return [...this.#wishes.values()].filter(({ kind }) => this.#failures.get(kind.key)?.retry === undefined);
  }

  started({ key }: InstanceKind): void {
    this.#forgetFailures(key);
  }

  failed({ key }: InstanceKind): void {
    if (!this.#wishes.has(key)) return;
    const failure = this.#failures.get(key) ?? { count: 0, retry: undefined };
    this.#failures.set(key, failure);
    failure.count += 1;
    failure.retry?.[Symbol.dispose]();
    failure.retry = this.#clock.after(backoffMs(RETRY, failure.count), () => {
      failure.retry = undefined;
      this.#onDue();
    });
  }

  [Symbol.dispose](): void {
    for (const key of [...this.#failures.keys()]) this.#forgetFailures(key);
  }

  #forgetFailures(key: string): void {
    this.#failures.get(key)?.retry?.[Symbol.dispose]();
    this.#failures.delete(key);
  }
}
