import { describe, expect, test } from 'vitest';
import { backoffMs } from '../../../src/kernel/backoff.ts';

const POLICY = { firstMs: 1000, capMs: 30_000 };
const least = (attempt: number): number => backoffMs(POLICY, attempt, () => 0);
const most = (attempt: number): number => backoffMs(POLICY, attempt, () => 1 - Number.EPSILON);

describe('backoffMs', () => {
  test('doubles up to the cap, and a random half is taken off', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(most)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect([1, 2, 3, 4, 5, 6, 7].map(least)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  });

  test('no number of attempts leads beyond the cap, or below half of the first', () => {
    for (const attempt of [-1, 0, 31, 1000, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
      expect(most(attempt)).toBeLessThanOrEqual(POLICY.capMs);
      expect(least(attempt)).toBeGreaterThanOrEqual(POLICY.firstMs / 2);
    }
  });

  test('a first delay above the cap is the cap', () => {
    expect(backoffMs({ firstMs: 60_000, capMs: 30_000 }, 1, () => 1)).toBe(30_000);
  });

  test('those who failed together come back apart', () => {
    const delays = new Set(Array.from({ length: 100 }, () => backoffMs(POLICY, 5)));
    expect(delays.size).toBeGreaterThan(50);
    for (const delay of delays) expect(delay).toSatisfy((ms: number) => ms >= 8000 && ms <= 16_000);
  });
});
