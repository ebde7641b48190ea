import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runBounded } from '../../../src/api/bounded.ts';
import { readHead } from '../../../src/api/head.ts';
import { LogLines, MAX_LINE_BYTES } from '../../../src/api/log-lines.ts';
import { collectTail, MAX_TAIL_BYTES } from '../../../src/api/log-tail.ts';
import { isJsonRequest, shownType } from '../../../src/api/media-type.ts';
import { METHODS } from '../../../src/api/methods/table.ts';
import { readTarget } from '../../../src/api/request-checks.ts';
import { parseSince } from '../../../src/api/since.ts';
import type { LogChunk } from '../../../src/runtime/driver.ts';

function chunksOf(text: Buffer, sizes: readonly number[]): LogChunk[] {
  const chunks: LogChunk[] = [];
  for (let start = 0, index = 0; start < text.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push({ stream: 'stdout', data: text.subarray(start, start + size) });
    start += size;
  }
  return chunks;
}

function linesOf(chunks: readonly LogChunk[]): string[] {
  const lines = new LogLines();
  return [...chunks.flatMap((chunk) => [...lines.add(chunk)]), ...lines.end()].map(({ line }) => line);
}

describe('LogLines', () => {
  test('makes the same lines however the bytes are cut', () => {
    const text = fc.array(
      fc.string({ unit: 'binary', maxLength: 20 }).filter((line) => !/[\n\r]/.test(line)),
    );
    const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 });
    fc.assert(
      fc.property(text, sizes, (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        expect(linesOf(chunksOf(bytes, cuts))).toEqual(lines.map((line) => Buffer.from(line).toString()));
      }),
    );
  });

  test('cuts a line that is too long, but no character', () => {
    const line = `a${'ä€😀'.repeat(10_000)}`;
    const pieces = linesOf(chunksOf(Buffer.from(`${line}\nend`), [1000]));
    expect(pieces.pop()).toBe('end');
    expect(pieces.join('')).toBe(line);
    for (const piece of pieces) expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(MAX_LINE_BYTES);
  });

  test.each([
    [MAX_LINE_BYTES - 1, 1],
    [MAX_LINE_BYTES, 1],
    [MAX_LINE_BYTES + 1, 2],
  ])('a line of %i bytes comes in %i piece(s)', (length, count) => {
    expect(linesOf(chunksOf(Buffer.from(`${'a'.repeat(length)}\n`), [4096]))).toHaveLength(count);
  });
});

describe('collectTail', () => {
  async function* source(lines: number, length: number): AsyncGenerator<LogChunk> {
    for (let index = 0; index < lines; index += 1) {
      yield { stream: 'stdout', data: Buffer.from(`${String(index).padStart(length, '0')}\n`) };
    }
  }

  test.each([
    [9, 10, 9, false],
    [10, 10, 10, false],
    [11, 10, 10, true],
    [5000, 1000, 1000, true],
    [5, 0, 0, true],
  ])('of %i lines, %i asked for: %i, more: %s', async (lines, wanted, count, truncated) => {
    const tail = await collectTail(source(lines, 4), wanted);
    expect(tail.truncated).toBe(truncated);
    expect(tail.entries.map(({ line }) => Number(line))).toEqual(
      Array.from({ length: count }, (_, index) => lines - count + index),
    );
  });

  test('holds no more than 512 KiB', async () => {
    const { entries, truncated } = await collectTail(source(1000, 1024), 1000);
    expect(entries).toHaveLength(MAX_TAIL_BYTES / 1024);
    expect(truncated).toBe(true);
  });
});

describe('readTarget', () => {
  test.each([
    ['/jobs?a=1&b', { path: '/jobs', query: 'a=1&b', authority: undefined }],
    ['/', { path: '/', query: '', authority: undefined }],
    ['http://h:1/x?y', { path: '/x', query: 'y', authority: 'h:1' }],
    ['HTTPS://h', { path: '/', query: '', authority: 'h' }],
    ['http://h?x', { path: '/', query: 'x', authority: 'h' }],
    ['//evil/x', { path: '//evil/x', query: '', authority: undefined }],
  ])('%s', (url, target) => expect(readTarget(url)).toEqual(target));

  test.each(['*', 'evil:80', 'ftp://h/', ''])('%j is none', (url) => expect(readTarget(url)).toBeUndefined());
});

describe('media types', () => {
  test.each([
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json ; charset="UTF-8"',
    'application/json;',
  ])('%s is JSON', (type) => expect(isJsonRequest(readHead(['Content-Type', type]))).toBe(true));

  test.each([
    '',
    'application/jsonp',
    'application/json;charset=latin1',
    'application/json;charset="utf-8',
    'text/json',
  ])('%j is not', (type) => expect(isJsonRequest(readHead(['Content-Type', type]))).toBe(false));

  test('what is quoted is fit for a terminal', () => {
    expect(shownType(readHead(['Content-Type', `a\x1b[31m${'b'.repeat(500)}`]))).toMatch(/^a\?\[31mb+$/);
  });
});

describe('parseSince', () => {
  test.each([
    ['5m', { sinceAgoMs: 300_000 }],
    ['0', { sinceAgoMs: 0 }],
    ['2026-01-01T00:00:00Z', { sinceMs: Date.UTC(2026, 0, 1) }],
    ['2026-01-01T01:00:00.5+01:00', { sinceMs: Date.UTC(2026, 0, 1) + 500 }],
    ['2026-01-01T00:00:00.123456789Z', { sinceMs: Date.UTC(2026, 0, 1) + 123 }],
    ['900000d', { sinceAgoMs: 900_000 * 86_400_000 }],
  ])('%s', (text, since) => expect(parseSince(text)).toEqual(since));

  test.each(['', 'yesterday', '2026-01-01', '2026-13-01T00:00:00Z', '-5m', '1e3'])('%j is no time', (text) =>
    expect(parseSince(text)).toBeUndefined(),
  );
});

describe('runBounded', () => {
  test('keeps the order, and the bound', async () => {
    let running = 0;
    let most = 0;
    const results = await new Promise<number[]>((resolve) =>
      runBounded(
        Array.from({ length: 50 }, (_, index) => index),
        7,
        (item, done: (result: number) => void) => {
          running += 1;
          most = Math.max(most, running);
          const finish = (): void => {
            running -= 1;
            done(item * 2);
          };
          if (item % 3 === 0) finish();
          else setTimeout(finish, item % 5);
        },
        resolve,
      ),
    );
    expect(results).toEqual(Array.from({ length: 50 }, (_, index) => index * 2));
    expect(most).toBe(7);
  });

  test('ten thousand that end at once need no deep stack', async () => {
    const results = await new Promise<number[]>((resolve) =>
      runBounded(
        Array.from({ length: 10_000 }, () => 1),
        1,
        (item, done: (result: number) => void) => done(item),
        resolve,
      ),
    );
    expect(results.reduce((total, one) => total + one, 0)).toBe(10_000);
  });

  test('much that ends at once lets others have their turn', async () => {
    const busyMs = 3;
    let turns = 0;
    const turn = setInterval(() => (turns += 1), 1);
    await new Promise((resolve) =>
      runBounded(
        Array.from({ length: 40 }, (_, index) => index),
        32,
        (item, done: (result: number) => void) => {
          const endMs = performance.now() + busyMs;
          while (performance.now() < endMs);
          done(item);
        },
        resolve,
      ),
    );
    clearInterval(turn);
    expect(turns).toBeGreaterThan(5);
  });
});

test('whatever changes something needs a full token', () => {
  const reading = Object.entries(METHODS).filter(([, { scope }]) => scope === 'read');
  expect(reading.map(([name]) => name).sort()).toEqual([
    'ContainerService.Logs',
    'ContainerService.Stats',
    'ContainerService.Status',
    'ControllerService.Get',
    'ControllerService.List',
    'ControllerService.Resolve',
    'JobService.Get',
    'JobService.History',
    'JobService.List',
    'JobService.Wait',
    'NodeService.Info',
    'PeerService.Identity',
    'PeerService.List',
    'PeerService.Ping',
    'QueueService.Stats',
    'SessionService.List',
    'SystemService.Health',
    'SystemService.Version',
    'rpc.discover',
  ]);
});
