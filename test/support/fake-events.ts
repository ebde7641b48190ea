/** As many as Docker itself remembers. */
const MAX_HISTORY_EVENTS = 256;
/** A subscriber this far behind loses the newest, as with a real engine. */
const MAX_QUEUED_EVENTS = 10_000;

interface FakeEvent {
  readonly atMs: number;
  readonly labels?: Readonly<Record<string, string>>;
}

interface Options {
  readonly labels?: Readonly<Record<string, string>>;
  readonly sinceMs?: number;
  readonly signal: AbortSignal;
  readonly onSubscribed?: () => void;
}

interface Subscriber<Event> {
  readonly options: Options;
  readonly queue: Event[];
  failure: Error | undefined;
  wake: () => void;
}

/** An event stream of the fake engine: lossy on request, and breakable. */
export class FakeEvents<Event extends FakeEvent> {
  readonly #dropShare: number;
  readonly #subscribers = new Set<Subscriber<Event>>();
  readonly #history: Event[] = [];
  #randomState: number;

  constructor(dropShare: number, seed: number) {
    this.#dropShare = dropShare;
    this.#randomState = seed >>> 0;
  }

  emit(event: Event): void {
    if (this.#history.push(event) > 2 * MAX_HISTORY_EVENTS) this.#history.splice(0, MAX_HISTORY_EVENTS);
    for (const subscriber of this.#subscribers) this.#offer(subscriber, event);
  }

  break(failure: Error): void {
    for (const subscriber of this.#subscribers) {
      subscriber.failure = failure;
      subscriber.wake();
    }
  }

  async *subscribe(options: Options): AsyncIterable<Event> {
    const subscriber: Subscriber<Event> = { options, queue: [], failure: undefined, wake: () => undefined };
    const onAbort = (): void => subscriber.wake();
    const { sinceMs } = options;
    if (sinceMs !== undefined) {
      const missed = this.#history.slice(-MAX_HISTORY_EVENTS).filter((event) => event.atMs >= sinceMs);
      for (const event of missed) this.#offer(subscriber, event);
    }
    this.#subscribers.add(subscriber);
    options.signal.addEventListener('abort', onAbort);
    try {
      options.onSubscribed?.();
      while (!options.signal.aborted) {
        const event = subscriber.queue.shift();
        if (event !== undefined) yield event;
        else if (subscriber.failure !== undefined) throw subscriber.failure;
        else await new Promise<void>((resolve) => (subscriber.wake = resolve));
      }
    } finally {
      options.signal.removeEventListener('abort', onAbort);
      this.#subscribers.delete(subscriber);
    }
  }

  #offer(subscriber: Subscriber<Event>, event: Event): void {
    const wanted = Object.entries(subscriber.options.labels ?? {});
    if (!wanted.every(([name, value]) => event.labels?.[name] === value)) return;
    if (subscriber.queue.length >= MAX_QUEUED_EVENTS) return;
    if (this.#dropShare > 0 && this.#random() < this.#dropShare) return;
    subscriber.queue.push(event);
    subscriber.wake();
  }

  /** A linear congruential generator: the same losses for the same seed. */
  #random(): number {
    this.#randomState = (Math.imul(this.#randomState, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#randomState / 2 ** 32;
  }
}
