import { sleep, type Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { isNobodyThere } from '../kernel/nobody-there.ts';
import { Refused } from './refused.ts';
import { shakeHands, type UpstreamConnection, type UpstreamRequest } from './upstream-handshake.ts';
import { connectUpstream } from './upstream-socket.ts';

export interface DialOptions extends UpstreamRequest {
  /** For all of it, ms. */
  readonly limitMs: number;
}

/** Between two tries at one that does not accept connections yet, ms. */
const RETRY_PAUSE_MS = 50;
/** A connection that is refused for longer will not be accepted. */
const RETRY_LIMIT_MS = 3_000;

/**
 * Opens a WebSocket to an instance with the client's own key, so that the client can check the answer as it is. Fails with a
 * `Refused`, or with the signal's reason.
 */
export async function dialUpstream(
  options: DialOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  using limited = new LinkedSignal([signal], { clock, limitMs: options.limitMs });
  const startedMs = clock.monotonicMs();
  for (;;) {
    try {
      return await shakeHands(connectUpstream(options.upstream), options, limited.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (limited.isTimedOut) throw gaveNoAnswer(options.limitMs);
      const isOver = clock.monotonicMs() - startedMs >= RETRY_LIMIT_MS;
      if (error instanceof Refused || isOver || !isNobodyThere(error)) throw asRefusal(error);
    }
    await sleep(clock, RETRY_PAUSE_MS, limited.signal).catch(() => undefined);
  }
}

function gaveNoAnswer(limitMs: number): Refused {
  return new Refused({ status: 504, text: `the controller gave no answer within ${limitMs} ms` });
}

function asRefusal(error: unknown): Refused {
  if (error instanceof Refused) return error;
  const text = `the controller cannot be reached: ${messageOf(error)}`;
  return new Refused({ status: 502, text }, { cause: error });
}
