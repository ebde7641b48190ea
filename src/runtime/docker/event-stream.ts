import type { Clock } from '../../kernel/clock.ts';
import { RuntimeError } from '../errors.ts';
import type { CallOptions, EngineCalls } from './call.ts';
import { jsonLines } from './json-lines.ts';
import { translateError } from './translate-error.ts';

/**
 * A connection whose other end is gone without a word looks like an engine on which nothing happens, so events are
 * asked for over a new one after so long without any.
 */
const MAX_EVENT_SILENCE_MS = 60_000;

export interface EventQuery<Event> {
  readonly call: CallOptions;
  readonly filters: Readonly<Record<string, string[]>>;
  /** `undefined` for a line that is not ours to follow. */
  readonly decodeLine: (line: unknown) => Event | undefined;
}

interface FollowOptions {
  readonly signal: AbortSignal;
  readonly sinceMs?: number;
  readonly onSubscribed?: () => void;
}

/** What the engine tells of, from a time on, until the caller's signal is aborted or the engine goes. */
export async function* followEvents<Event extends { readonly atMs: number }>(
  deps: { readonly calls: EngineCalls; readonly clock: Clock },
  { call, filters, decodeLine }: EventQuery<Event>,
  options: FollowOptions,
): AsyncIterable<Event> {
  if (options.signal.aborted) return;
  // The engine sends its head before it listens to itself: asked from now on, it hands over what fell in between.
  let sinceMs = options.sinceMs ?? deps.clock.wallMs();
  let { onSubscribed } = options;
  try {
    for (;;) {
      const query: object = { since: toUnixSeconds(sinceMs), filters };
      using stream = await deps.calls.open(call, (docker, abortSignal) =>
        docker.getEvents({ ...query, abortSignal }),
      );
      onSubscribed?.();
      onSubscribed = undefined;
      try {
        for await (const line of jsonLines(stream.chunks(MAX_EVENT_SILENCE_MS))) {
          const event = decodeLine(line);
          if (event === undefined) continue;
          sinceMs = event.atMs;
          yield event;
        }
        return;
      } catch (error) {
        if (!isSilence(error)) throw error;
      }
    }
  } catch (error) {
    if (!options.signal.aborted) throw translateError(error, call.kind, call.what);
  }
}

export function toUnixSeconds(wallMs: number): string {
  return (wallMs / 1000).toFixed(3);
}

/** Of a stream that has begun: nothing came for as long as it may be silent. */
function isSilence(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'timeout';
}
