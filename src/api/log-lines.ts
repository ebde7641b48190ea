import type { LogChunk } from '../runtime/driver.ts';
import type { LogEntry } from './wire.ts';

/** A longer line is given in pieces of this size. */
export const MAX_LINE_BYTES = 16 * 1024;

const NEWLINE = 0x0a;

/** Makes whole lines of chunks, for each of the two streams by itself. Holds at most one piece of a line of each. */
export class LogLines {
  readonly #partial: Record<LogChunk['stream'], Buffer[]> = { stdout: [], stderr: [] };
  readonly #partialBytes: Record<LogChunk['stream'], number> = { stdout: 0, stderr: 0 };

  /** The lines that `chunk` completes. */
  *add({ stream, data }: LogChunk): Generator<LogEntry> {
    let start = 0;
    while (start < data.length) {
      const newline = data.indexOf(NEWLINE, start);
      const end = newline === -1 ? data.length : newline;
      const room = MAX_LINE_BYTES - this.#partialBytes[stream];
      if (end - start > room) {
        const cut = start + room - splitBytes(data, start, start + room);
        this.#keep(stream, data.subarray(start, cut));
        yield this.#take(stream);
        start = cut;
        continue;
      }
      this.#keep(stream, data.subarray(start, end));
      if (newline === -1) return;
      yield this.#take(stream);
      start = newline + 1;
    }
  }

  /** What is left when the log ends without a last newline. */
  *end(): Generator<LogEntry> {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (this.#partialBytes[stream] > 0) yield this.#take(stream);
    }
  }

  #keep(stream: LogChunk['stream'], piece: Buffer): void {
    this.#partial[stream].push(piece);
    this.#partialBytes[stream] += piece.length;
  }

  #take(stream: LogChunk['stream']): LogEntry {
    const pieces = this.#partial[stream];
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    this.#partial[stream] = [];
    this.#partialBytes[stream] = 0;
    const isCarriageReturn = bytes.at(-1) === 0x0d;
    return { stream, line: bytes.toString('utf8', 0, isCarriageReturn ? bytes.length - 1 : bytes.length) };
  }
}

/** How many bytes before `end` belong to a character that goes on after it; 0 when none do, or it is not UTF-8. */
function splitBytes(data: Buffer, start: number, end: number): number {
  const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;
  if (!isContinuation(data[end])) return 0;
  for (let back = 1; back <= 3 && end - back > start; back += 1) {
    if (!isContinuation(data[end - back])) return back;
  }
  return 0;
}
