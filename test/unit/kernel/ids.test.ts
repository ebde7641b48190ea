import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isJobId, jobIdOfKey, newJobId } from '../../../src/kernel/ids.ts';

const WALL_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

describe('newJobId', () => {
  test('is a UUIDv7 of the millisecond', () => {
    const id = newJobId(WALL_MS);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(WALL_MS);
  });

  test('many in one millisecond are distinct, also where a block of random bytes ends', () => {
    const ids = Array.from({ length: 20_000 }, () => newJobId(WALL_MS));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isJobId)).toBe(true);
    // The last 48 of the 74 random bits are already enough to tell them apart.
    const tails = ids.map((id) => id.slice(-12));
    expect(new Set(tails).size).toBe(ids.length);
  });

  test('later ones sort after earlier ones', () => {
    const ids = Array.from({ length: 100 }, (_, index) => newJobId(WALL_MS + index * 37));
    expect(ids.toSorted()).toEqual(ids);
  });

  test('any day that a clock can show fits', () => {
    for (const wallMs of [0, 1, 2 ** 48 - 1]) expect(isJobId(newJobId(wallMs))).toBe(true);
    expect(() => newJobId(-1)).toThrow(RangeError);
    expect(() => newJobId(2 ** 48)).toThrow(RangeError);
  });
});

describe('jobIdOfKey', () => {
  test('is the same for the same caller and key, for good', () => {
    expect(jobIdOfKey('ci', 'build-1')).toBe(jobIdOfKey('ci', 'build-1'));
    // Computed by hand from RFC 9562: SHA-1 of namespace and name, version and variant set.
    const digest = createHash('sha1')
      .update(Buffer.from('8f6b1b0c5f0e4a53a1c6d0a1f2b7c934', 'hex'))
      .update('["ci","build-1"]')
      .digest('hex');
    const variant = ((Number.parseInt(digest.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
    const hex = `${digest.slice(0, 12)}5${digest.slice(13, 16)}${variant}${digest.slice(18, 32)}`;
    expect(jobIdOfKey('ci', 'build-1').replaceAll('-', '')).toBe(hex);
  });

  test('is a UUIDv5', () => {
    expect(jobIdOfKey('', '')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  test('differs where caller and key are cut elsewhere', () => {
    const pairs = [
      ['a', 'bc'],
      ['ab', 'c'],
      ['a","b', 'c'],
      ['a', 'b","c'],
      ['A', 'bc'],
      ['', 'abc'],
    ] as const;
    expect(new Set(pairs.map(([caller, key]) => jobIdOfKey(caller, key))).size).toBe(pairs.length);
  });
});

describe('isJobId', () => {
  const id = '2c1581c9-1d82-11ef-aa1b-0242ac160003';
  test('takes any UUID in lower case with hyphens', () => {
    expect(isJobId(id)).toBe(true);
  });

  test.each([
    [''],
    [id.toUpperCase()],
    [id.replaceAll('-', '')],
    [` ${id}`],
    [`${id}\n`],
    [`{${id}}`],
    [id.slice(1)],
  ])('refuses %j', (text) => {
    expect(isJobId(text)).toBe(false);
  });
});
