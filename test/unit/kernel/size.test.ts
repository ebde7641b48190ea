import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatSize, parseSize } from '../../../src/kernel/size.ts';

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['1024', 1024],
    ['1b', 1],
    ['64k', 65_536],
    ['64K', 65_536],
    ['1kb', 1024],
    ['1KiB', 1024],
    ['512m', 536_870_912],
    ['512 MB', 536_870_912],
    ['0.5g', 536_870_912],
    ['1t', 1024 ** 4],
    ['0.000001k', 0],
    ['8191t', 8191 * 1024 ** 4],
    ['9007199254740991'.slice(0, 15), 900_719_925_474_099],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    [''],
    ['k'],
    ['-1'],
    ['+1'],
    ['1e3'],
    [' 1k'],
    ['1k '],
    ['1\nk'],
    ['1  k'],
    ['1bb'],
    ['1ib'],
    ['1kk'],
    ['1p'],
    ['1,5g'],
    ['.5g'],
    ['1.g'],
    ['0x10'],
    ['8192t'],
    ['999999999999999t'],
    ['1'.repeat(100_000)],
  ])('%j is none', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

describe('formatSize', () => {
  test.each([
    [0, '0'],
    [1, '1'],
    [1023, '1023'],
    [1024, '1k'],
    [1536, '1536'],
    [536_870_912, '512m'],
    [1024 ** 4, '1t'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  test('whole bytes are read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999_999_999 }), (bytes) => {
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
  });
});
