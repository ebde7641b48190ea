import type { LogChunk } from '../runtime/driver.ts';
import { LogLines } from './log-lines.ts';
import type { LogEntry } from './wire.ts';

/** Bounds of a log that is answered in one piece. */
export const MAX_TAIL_LINES = 1_000;
export const MAX_TAIL_BYTES = 512 * 1024;

/** Forgetting lines in blocks of this many keeps the cost per line constant. */
const FORGET_LINES = 1_000;

/** The last `maxLines` lines, of 512 KiB at most, and whether there were more. */
export async function collectTail(
  chunks: AsyncIterable<LogChunk>,
  maxLines: number,
): Promise<{ entries: LogEntry[]; truncated: boolean }> {
  const lines = new LogLines();
  const entries: LogEntry[] = [];
  let first = 0;
  let bytes = 0;
  let truncated = false;
  const add = (added: LogEntry): void => {
    entries.push(added);
    bytes += Buffer.byteLength(added.line);
    while (entries.length - first > maxLines || bytes > MAX_TAIL_BYTES) {
      bytes -= Buffer.byteLength((entries[first] as LogEntry).line);
      first += 1;
      truncated = true;
    }
    if (first >= FORGET_LINES) {
      entries.splice(0, first);
      first = 0;
    }
  };
  for await (const chunk of chunks) {
    for (const entry of lines.add(chunk)) add(entry);
  }
  for (const entry of lines.end()) add(entry);
  return { entries: entries.slice(first), truncated };
}
