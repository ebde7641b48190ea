import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Watermark } from '../../../src/store/watermark.ts';
import { tempDirectory } from './support/store-fixture.ts';

const STORE = '/data/jobs.db';
const newFile = (): string => join(tempDirectory(), 'jobs.watermark');

function written(epoch: number, seq: number): string {
  const file = newFile();
  using watermark = new Watermark(file);
  watermark.advance({ epoch, seq });
  return file;
}

describe('a watermark', () => {
  it.each([
    ['at it', 5, 100, false],
    ['ahead of it', 5, 101, false],
    ['in a later life', 6, 1, false],
    ['behind it', 5, 99, true],
    ['in an earlier life, however far', 4, 1_000, true],
  ])('takes a store %s for lossy or not', (_where, epoch, seq, isLost) => {
    using watermark = new Watermark(written(5, 100));
    const check = (): void => watermark.check({ epoch, seq }, STORE);
    if (isLost) expect(check).toThrow(expect.objectContaining({ code: 'store_corrupt' }));
    else expect(check).not.toThrow();
  });

  it('keeps numbers as large as they may get', () => {
    const seq = 2 ** 48 - 2;
    using watermark = new Watermark(written(2 ** 33, seq));
    expect(() => watermark.check({ epoch: 2 ** 33, seq: seq - 1 }, STORE)).toThrow(`${seq} was acknowledged`);
  });

  it('that is new, cut short or damaged proves nothing', () => {
    const store = { epoch: 5, seq: 0 };
    using fresh = new Watermark(newFile());
    expect(fresh.isNew).toBe(true);
    fresh.check(store, STORE);
    const short = written(5, 100);
    truncateSync(short, 15);
    using cut = new Watermark(short);
    expect(cut.isNew).toBe(false);
    cut.check(store, STORE);
    const damaged = written(5, 100);
    writeFileSync(damaged, Buffer.alloc(16, 3));
    using other = new Watermark(damaged);
    other.check(store, STORE);
  });

  it('stays as small as it is, however often it advances', () => {
    const file = newFile();
    using watermark = new Watermark(file);
    for (let seq = 1; seq <= 100; seq += 1) watermark.advance({ epoch: 1, seq });
    expect(statSync(file)).toMatchObject({ size: 16 });
  });

  it('on a disk that is full stays behind; on one that fails it says so', () => {
    using full = new Watermark('/dev/full');
    expect(() => full.advance({ epoch: 1, seq: 1 })).not.toThrow();
    const closed = new Watermark(newFile());
    closed[Symbol.dispose]();
    expect(() => closed.advance({ epoch: 1, seq: 1 })).toThrow(
      expect.objectContaining({ code: 'store_failed' }),
    );
  });
});
