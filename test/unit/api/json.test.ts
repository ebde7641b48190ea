import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findForbiddenKey, parseJson } from '../../../src/api/json.ts';

const MAX_NESTING = 64;
const parse = (text: string) => parseJson(Buffer.from(text), MAX_NESTING);

/** How deep a value is, the slow way. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('parseJson', () => {
  test('reads any JSON, with or without white space', () => {
    fc.assert(
      fc.property(fc.json({ depthSize: 'medium' }), fc.nat(8), (text, indent) => {
        const value = JSON.parse(text) as unknown;
        expect(parse(JSON.stringify(value, null, indent))).toMatchObject({ ok: true, value });
      }),
    );
  });

  test.each([
    [63, true],
    [64, true],
    [65, false],
  ])('takes %i levels: %s', (levels, isTaken) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const inner = open === '[' ? '' : '1';
      const text = open.repeat(levels) + inner + close.repeat(levels);
      expect(parse(text).ok).toBe(isTaken);
    }
  });

  test('counts levels as the parsed value has them, whatever strings hold', () => {
    const nasty = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'a'), maxLength: 40 });
    const deep = fc.tuple(fc.integer({ min: 50, max: 80 }), fc.array(nasty, { minLength: 3, maxLength: 6 }));
    fc.assert(
      fc.property(deep, ([levels, texts]) => {
        let value: unknown = texts;
        for (let level = 1; level < levels; level += 1)
          value = level % 2 === 0 ? [value] : { [texts[0] ?? '']: value };
        expect(depthOf(value)).toBe(levels);
        expect(parse(JSON.stringify(value)).ok).toBe(levels <= MAX_NESTING);
      }),
    );
  });

  test.each([
    [Buffer.from([0x22, 0xc3, 0x28, 0x22]), 'not_utf8'],
    [Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'not_utf8'],
    [Buffer.from(''), 'not_json'],
    [Buffer.from('{"a":1}{"b":2}'), 'not_json'],
    [Buffer.from('\ufeff{}'), 'not_json'],
    [Buffer.from('['.repeat(100_000)), 'too_deep'],
  ])('says what is wrong with %s', (body, problem) => {
    expect(parseJson(body, MAX_NESTING)).toEqual({ ok: false, problem });
  });

  test('A8: of 100,000 objects, exactly those with a key that reaches a prototype are seen, and none does harm', () => {
    const forbidden = fc.constantFrom('__proto__', 'constructor', 'prototype');
    const key = fc.oneof(
      { weight: 9, arbitrary: fc.string({ maxLength: 6 }) },
      { weight: 1, arbitrary: forbidden },
    );
    const { value } = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
      leaf: fc.oneof(fc.integer(), fc.string({ maxLength: 6 }), fc.constant(null)),
      value: fc.oneof(
        { maxDepth: 3 },
        tie('leaf'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
      ),
    }));
    const escape = (text: string): string =>
      text.replace(/_|c/g, (found) => `\\u00${found === '_' ? '5f' : '63'}`);
    const textOf = (item: unknown, isEscaped: boolean): string => {
      if (Array.isArray(item)) return `[${item.map((member) => textOf(member, isEscaped)).join(',')}]`;
      if (!(item instanceof Map)) return JSON.stringify(item);
      const members = [...(item as Map<string, unknown>)].map(([name, member]) => {
        const quoted = JSON.stringify(name);
        return `${isEscaped ? escape(quoted) : quoted}:${textOf(member, isEscaped)}`;
      });
      return `{${members.join(',')}}`;
    };
    const hasForbidden = (item: unknown): boolean => {
      if (Array.isArray(item)) return item.some(hasForbidden);
      if (!(item instanceof Map)) return false;
      return [...(item as Map<string, unknown>)].some(
        ([name, member]) => ['__proto__', 'constructor', 'prototype'].includes(name) || hasForbidden(member),
      );
    };
    fc.assert(
      fc.property(value, fc.boolean(), (item, isEscaped) => {
        const json = parse(textOf(item, isEscaped));
        if (!json.ok) throw new Error(`no JSON: ${textOf(item, isEscaped)}`);
        const isSeen = json.mayHaveForbiddenKeys && findForbiddenKey(json.value) !== undefined;
        if (isSeen !== hasForbidden(item)) throw new Error(`seen: ${isSeen}`);
        if (({} as Record<string, unknown>)['x'] !== undefined) throw new Error('the prototype was changed');
      }),
      { numRuns: 100_000 },
    );
  }, 60_000);

  test('says where the key is', () => {
    const value = JSON.parse('{"params":[{"env":{"a":1}},{"env":{"__proto__":1}}]}') as unknown;
    expect(findForbiddenKey(value)).toBe('params[1].env.__proto__');
  });
});
