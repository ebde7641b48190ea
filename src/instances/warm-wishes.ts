import { backoffMs, type BackoffPolicy } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { instanceRequest, kindOf } from './instance-job.ts';
import type { InstanceTemplate } from './template.ts';

/** So many of a kind are to be ready before anybody asks. */
export interface WarmWish {
  readonly kind: string;
  readonly template: InstanceTemplate;
  readonly count: number;
}

/** What cannot be started is tried again less and less often. */
const RETRY: BackoffPolicy = { firstMs: 1_000, capMs: 60_000 };

/** Which instances are to be kept warm, and which of them not just now since they could not be started. */
export class WarmWishes implements Disposable {
  readonly #clock: Clock;
  readonly #onDue: () => void;
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
      .map(({ template, count }) => ({ kind: kindOf(instanceRequest(template)), template, count }));
    this.#wishes = new Map(wishes.map((wish) => [wish.kind, wish]));
    for (const kind of this.#failures.keys()) if (!this.#wishes.has(kind)) this.#forgetFailures(kind);
  }

  countOf(kind: string): number {
    return this.#wishes.get(kind)?.count ?? 0;
  }

  /** Those that may be started now. */
  due(): WarmWish[] {
    return [...this.#wishes.values()].filter(({ kind }) => this.#failures.get(kind)?.retry === undefined);
  }

  started(kind: string): void {
    this.#forgetFailures(kind);
  }

  failed(kind: string): void {
    if (!this.#wishes.has(kind)) return;
    const failure = this.#failures.get(kind) ?? { count: 0, retry: undefined };
    this.#failures.set(kind, failure);
    failure.count += 1;
    failure.retry?.[Symbol.dispose]();
    failure.retry = this.#clock.after(backoffMs(RETRY, failure.count), () => {
      failure.retry = undefined;
      this.#onDue();
    });
  }

  [Symbol.dispose](): void {
    for (const kind of [...this.#failures.keys()]) this.#forgetFailures(kind);
  }

  #forgetFailures(kind: string): void {
    this.#failures.get(kind)?.retry?.[Symbol.dispose]();
    this.#failures.delete(kind);
  }
}
