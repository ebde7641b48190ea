import type { ServerResponse } from 'node:http';
import { abortable } from '../kernel/single-flight.ts';
import type { ObservedEvent } from '../jobs/jobs.ts';
import { JobError } from '../jobs/errors.ts';
import { invalidParams } from './params.ts';
import type { ApiLimits } from './limits.ts';
import type { ApiDependencies } from './ports.ts';
import { SECURITY_HEADERS } from './replies.ts';
import { PacedWriter } from './streams.ts';
import { eventId, jobEventView } from './views.ts';

/** How long a client waits before it connects again. */
const RECONNECT_MS = 1_000;

const HEADERS = ['Content-Type', 'text/event-stream', ...SECURITY_HEADERS, 'X-Accel-Buffering', 'no'];

/** What a client reads last when the node ends the stream. */
export const STREAM_ENDS = ': the node is stopping\n\n';

type Position = Pick<ObservedEvent, 'epoch' | 'seq'>;

/** The place in the log that an event's id stands for; fails with `invalid_params`. */
export function readEventId(text: string): Position {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  if (match !== null) return { epoch: Number(match[1]), seq: Number(match[2]) };
  throw invalidParams([
    { path: 'Last-Event-ID', message: 'must be the id of an event', value: text.slice(0, 64) },
  ]);
}

export interface EventStreamOptions {
  readonly limits: Pick<ApiLimits, 'stallTimeoutMs' | 'heartbeatMs'>;
  /** From which event on; from now on when undefined. */
  readonly after: Position | undefined;
  /** Those of other nodes' jobs, too. */
  readonly allNodes: boolean;
  readonly signal: AbortSignal;
}

/**
 * Sends job events as server-sent events until the signal is aborted. The subscription is made before the head is
 * sent: a client that has the head misses nothing that happens from then on.
 */
export async function sendEvents(
  response: ServerResponse,
  options: EventStreamOptions,
  deps: Pick<ApiDependencies, 'jobs' | 'clock'>,
): Promise<void> {
  const { after, allNodes, limits, signal } = options;
  const subscribe = (from?: Position): Subscription =>
    new Subscription(
      deps.jobs.events({ signal, allNodes, ...(from !== undefined && { after: from }) }),
      signal,
    );
  let subscription = subscribe(after);
  response.writeHead(200, HEADERS);
  const writer = new PacedWriter(response, limits, deps);
  await writer.write(`retry: ${RECONNECT_MS}\n${placeOf(options)}: connected\n\n`, signal);
  using _heartbeat = startHeartbeat(response, limits.heartbeatMs, deps);
  for (;;) {
    try {
      for (let event = await subscription.next(); event !== undefined; event = await subscription.next()) {
        await writer.write(frameOf(event), signal);
      }
      return;
    } catch (error) {
      subscription[Symbol.dispose]();
      if (!(error instanceof JobError) || error.code !== 'invalid_state') throw error;
      // The events in between are gone: the client has to list the jobs again, and misses nothing after that.
      subscription = subscribe();
      const place = allNodes ? 'id:\n' : '';
      await writer.write(
        `${place}event: reset\ndata: ${JSON.stringify({ message: error.message })}\n\n`,
        signal,
      );
    }
  }
}

/** Where a client stands before the first event: one without an id may come first, and must not make it forget that. */
function placeOf({ after, allNodes }: Pick<EventStreamOptions, 'after' | 'allNodes'>): string {
  return after === undefined || !allNodes ? '' : `id: ${eventId(after)}\n`;
}

/** Only an event of this node's own log has a place to go on after; one of another node leaves that where it was. */
function frameOf(event: ObservedEvent): string {
  const id = event.owner === undefined ? `id: ${eventId(event)}\n` : '';
  return `${id}event: job\ndata: ${JSON.stringify(jobEventView(event))}\n\n`;
}

/** Events from the moment it is made; the first one is asked for at once. */
class Subscription implements Disposable {
  readonly #signal: AbortSignal;
  readonly #iterator: AsyncIterator<ObservedEvent>;
  #first: Promise<IteratorResult<ObservedEvent>> | undefined;

  constructor(events: AsyncIterable<ObservedEvent>, signal: AbortSignal) {
    this.#signal = signal;
    this.#iterator = events[Symbol.asyncIterator]();
    this.#first = this.#iterator.next();
    // It may fail before anybody waits for it.
    this.#first.catch(() => undefined);
  }

  /** `undefined` at the end. */
  async next(): Promise<ObservedEvent | undefined> {
    const first = this.#first;
    this.#first = undefined;
    const { done, value } = await abortable(first ?? this.#iterator.next(), this.#signal);
    return done === true ? undefined : (value as ObservedEvent);
  }

  [Symbol.dispose](): void {
    this.#iterator.return?.().catch(() => undefined);
  }
}

/** Comments keep proxies from cutting a quiet stream, and show a client that it is alive. */
function startHeartbeat(
  response: ServerResponse,
  heartbeatMs: number,
  { clock }: Pick<ApiDependencies, 'clock'>,
): Disposable {
  let timer: Disposable;
  const beat = (): void => {
    // Whoever does not read what waits already gets no more.
    if (!response.writableNeedDrain && !response.writableEnded) response.write(': heartbeat\n\n');
    timer = clock.after(heartbeatMs, beat);
  };
  timer = clock.after(heartbeatMs, beat);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
