import { expect, test } from 'vitest';
import { fillRandom } from '../../../src/kernel/random-pool.ts';

test('each byte is handed out once: many draws differ, also beyond a block', () => {
  const seen = Array.from({ length: 1_000 }, () => fillRandom(Buffer.alloc(12)).toString('hex'));
  expect(new Set(seen).size).toBe(1_000);
});

test('what is before the start stays as it is', () => {
  const bytes = fillRandom(Buffer.alloc(32), 16);
  expect(bytes.subarray(0, 16)).toEqual(Buffer.alloc(16));
  expect(bytes.subarray(16)).not.toEqual(Buffer.alloc(16));
});

test('a draw may be as long as a block', () => {
  expect(fillRandom(Buffer.alloc(4_096)).equals(fillRandom(Buffer.alloc(4_096)))).toBe(false);
});
