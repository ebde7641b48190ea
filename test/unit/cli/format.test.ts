import { describe, expect, it } from 'vitest';
import { ago, ahead, bytes, elapsed, percent, shortBytes } from '../../../cmd/cli/screen/format.ts';
import { pullLine } from '../../../cmd/cli/follow/pull-bar.ts';
import { isAfter } from '../../../cmd/cli/follow/job-events.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const before = (ms: number): string => new Date(NOW - ms).toISOString();

describe('times', () => {
  it.each([
    [0, 'now'],
    [-60_000, 'now'],
    [999, 'now'],
    [1_000, '1s ago'],
    [59_999, '59s ago'],
    [60_000, '1m ago'],
    [3_599_999, '59m ago'],
    [3_600_000, '1h ago'],
    [47 * 3_600_000, '47h ago'],
    [48 * 3_600_000, '2d ago'],
  ])('%i ms ago is %s', (ms, text) => {
    expect(ago(before(ms), NOW)).toBe(text);
  });

  it('does not hide a time that it cannot read', () => {
    expect(ago('soon', NOW)).toBe('soon');
    expect(ahead('soon', NOW)).toBe('soon');
  });

  it('looks ahead, too', () => {
    expect(ahead(before(-5_500), NOW)).toBe('in 5s');
    expect(ahead(before(10), NOW)).toBe('now');
  });

  it.each([
    [350, '350ms'],
    [4_249, '4.2s'],
    [59_000, '59s'],
    [80_000, '1m 20s'],
    [7_500_000, '2h 5m'],
    [86_400_000, '1d'],
    [-5, '0ms'],
  ])('%i ms take %s', (ms, text) => {
    expect(elapsed(ms)).toBe(text);
  });
});

describe('amounts', () => {
  it.each([
    [0, '0 B', '0B'],
    [999, '999 B', '999B'],
    [1024, '1.00 KiB', '1.00K'],
    [1023 * 1024, '1.00 MiB', '1.00M'],
    [12.34 * 1024 ** 2, '12.3 MiB', '12.3M'],
    [512 * 1024 ** 2, '512 MiB', '512M'],
    [3 * 1024 ** 5, '3.00 PiB', '3.00P'],
  ])('%i bytes', (count, text, short) => {
    expect(bytes(count)).toBe(text);
    expect(shortBytes(count)).toBe(short);
  });

  it('has no percentage of nothing, and none above a hundred', () => {
    expect(percent(5, 0)).toBe('0%');
    expect(percent(7, 5)).toBe('100%');
  });

  it('draws a pull', () => {
    const pull = { layers_done: 2, layers_total: 5, downloaded_bytes: 12_582_912, total_bytes: 25_165_824 };
    expect(pullLine(pull, 4_200)).toBe(
      '[############------------]   50%  12.0 MiB of 24.0 MiB  2/5 layers  4.2s',
    );
    expect(pullLine({ ...pull, downloaded_bytes: 25_165_824 }, 0)).toContain('2/5 layers unpacked');
    expect(pullLine({ ...pull, downloaded_bytes: 0, total_bytes: 0 }, 0)).toContain('   0%  0 B of 0 B');
  });
});

describe('the order of events', () => {
  it.each([
    ['1-10', '1-9', true],
    ['1-9', '1-10', false],
    ['2-1', '1-99', true],
    ['1-5', '1-5', false],
  ])('%s after %s: %s', (id, other, expected) => {
    expect(isAfter(id, other)).toBe(expected);
  });
});
