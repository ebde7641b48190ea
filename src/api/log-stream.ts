import type { ServerResponse } from 'node:http';
import { abortable } from '../kernel/single-flight.ts';
import type { Clock } from '../kernel/clock.ts';
import type { LogChunk } from '../runtime/driver.ts';
import type { ApiLimits } from './limits.ts';
import { LogLines } from './log-lines.ts';
import { SECURITY_HEADERS, TEXT_TYPE } from './replies.ts';
import { PacedWriter } from './streams.ts';
import type { LogEntry } from './wire.ts';

/** How long the head waits for a failure, so that it can still say so. */
const FIRST_CHUNK_MS = 200;

export const NDJSON_TYPE = 'application/x-ndjson';

export interface LogStreamOptions {
  readonly limits: Pick<ApiLimits, 'stallTimeoutMs'>;
  /** One JSON object a line that says which stream it is from, or the bytes as they came. */
  readonly format: 'ndjson' | 'raw';
  readonly signal: AbortSignal;
}

/**
 * Sends a log no faster than the client takes it: nothing is asked of the engine while the client's buffer is full.
 * Fails before the head is sent when the log cannot be read at all.
 */
export async function sendLog(
  response: ServerResponse,
  chunks: AsyncIterable<LogChunk>,
  options: LogStreamOptions,
  deps: { readonly clock: Clock },
): Promise<void> {
  const { format, limits, signal } = options;
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    const first = iterator.next();
    await settledOrSoon(first, deps.clock);
    const type = format === 'ndjson' ? NDJSON_TYPE : TEXT_TYPE;
    response.writeHead(200, ['Content-Type', type, ...SECURITY_HEADERS]);
    response.flushHeaders();
    const writer = new PacedWriter(response, limits, deps);
    const lines = new LogLines();
    let step = await abortable(first, signal);
    while (step.done !== true) {
      await writer.write(format === 'raw' ? step.value.data : ndjson(lines.add(step.value)), signal);
      step = await abortable(iterator.next(), signal);
    }
    await writer.write(ndjson(lines.end()), signal);
  } finally {
    // It may be in the middle of a step, which the signal ends; nobody needs to wait for that.
    iterator.return?.().catch(() => undefined);
  }
}

/** Fails if the promise does within the time. */
async function settledOrSoon(promise: Promise<unknown>, clock: Clock): Promise<void> {
  const { promise: soon, resolve } = Promise.withResolvers<void>();
  using _timer = clock.after(FIRST_CHUNK_MS, resolve);
  await Promise.race([promise, soon]);
}

function ndjson(entries: Iterable<LogEntry>): string {
  let text = '';
  for (const entry of entries) text += `${JSON.stringify(entry)}\n`;
  return text;
}
