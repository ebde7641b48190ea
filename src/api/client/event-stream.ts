import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../../kernel/backoff.ts';
import type { JobEventView } from '../wire.ts';
import { RpcError } from './rpc-error.ts';
import { SseParser } from './sse-parser.ts';

/**
 * A change of a job; or `reset`: what happened before this point is not told by the stream and has to be looked up
 * with `JobService.List` or `History`. Whoever does so then misses nothing.
 */
export type EventMessage =
  | { readonly kind: 'job'; readonly event: JobEventView }
  | { readonly kind: 'reset'; readonly message: string };

export interface EventStreamOptions {
  /** Begins after this event; without it, with what happens from now on. */
  readonly lastEventId?: string;
  /** What is learnt of other nodes' jobs, too. Those events have an owner, and those of a time without a connection are not told. */
  readonly allNodes?: boolean;
  /** Connects again where it left off when the connection breaks; otherwise the iteration ends or fails. */
  readonly follow?: boolean;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /** Told of each broken connection that will be tried again. */
  readonly onBroken?: (error: RpcError) => void;
}

/** How long a node may be away before a follower gives up. */
const MAX_AWAY_MS = 600_000;
const RECONNECT_CAP_MS = 15_000;
/** The node sends a comment every 15 s; a stream that is silent for three of those is dead. */
const MAX_SILENCE_MS = 45_000;

/** Opens the stream after the event of that id (from now on when empty); fails with an `RpcError`. */
export type OpenEvents = (lastEventId: string) => Promise<IncomingMessage>;

/** Events of every job, in order, across broken connections. */
export class EventFollower {
  readonly #open: OpenEvents;
  readonly #options: EventStreamOptions;
  #lastEventId: string;
  #retryMs = 1_000;
  #tries = 0;
  /** When the node last answered (monotonic); `undefined` before it did for the first time. */
  #heardAtMs: number | undefined;

  constructor(open: OpenEvents, options: EventStreamOptions) {
    this.#open = open;
    this.#options = options;
    this.#lastEventId = options.lastEventId ?? '';
  }

  async *messages(): AsyncGenerator<EventMessage> {
    const { follow = false, signal, onBroken } = this.#options;
    for (;;) {
      try {
        yield* this.#connection();
      } catch (error) {
        if (signal?.aborted === true) return;
        if (!(error instanceof RpcError) || !this.#isWorthRetrying(error)) throw error;
        onBroken?.(error);
      }
      if (!follow || signal?.aborted === true) return;
      this.#tries += 1;
      const policy = { firstMs: this.#retryMs, capMs: Math.max(this.#retryMs, RECONNECT_CAP_MS) };
      await delay(backoffMs(policy, this.#tries), undefined, { ...(signal && { signal }) }).catch(
        () => undefined,
      );
    }
  }

  #isWorthRetrying(error: RpcError): boolean {
    const heardAtMs = this.#heardAtMs;
    if (this.#options.follow !== true || heardAtMs === undefined) return false;
    return error.retryable && performance.now() - heardAtMs < MAX_AWAY_MS;
  }

  async *#connection(): AsyncGenerator<EventMessage> {
    const response = await this.#open(this.#lastEventId);
    this.#tries = 0;
    this.#heardAtMs = performance.now();
    const parser = new SseParser();
    try {
      if (this.#lastEventId === '') yield { kind: 'reset', message: 'events from now on' };
      for await (const chunk of withSilenceLimit(response)) {
        this.#heardAtMs = performance.now();
        for (const { event, data, lastEventId } of parser.add(chunk)) {
          const message = messageOfEvent(event, data);
          this.#lastEventId = message?.kind === 'reset' ? '' : lastEventId;
          if (message !== undefined) yield message;
        }
      }
    } finally {
      this.#retryMs = parser.retryMs ?? this.#retryMs;
      response.destroy();
    }
  }
}

function messageOfEvent(event: string, data: string): EventMessage | undefined {
  if (event !== 'job' && event !== 'reset') return undefined;
  try {
    const value = JSON.parse(data) as JobEventView & { message?: string };
    return event === 'job'
      ? { kind: 'job', event: value }
      : { kind: 'reset', message: value.message ?? 'a gap' };
  } catch (error) {
    throw new RpcError('bad_reply', 'the node sent an event that is not JSON', { cause: error });
  }
}

async function* withSilenceLimit(response: IncomingMessage): AsyncGenerator<Buffer> {
  const timer = setTimeout(() => response.destroy(new Error('the stream fell silent')), MAX_SILENCE_MS);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      timer.refresh();
      yield chunk;
    }
  } catch (error) {
    throw brokenStream(error);
  } finally {
    clearTimeout(timer);
  }
}

/** A stream that broke after it had begun. */
export function brokenStream(error: unknown): RpcError {
  return error instanceof RpcError
    ? error
    : new RpcError('unreachable', 'the connection to the node broke', { cause: error, retryable: true });
}
