import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonSyntaxError, locate, parseJson } from '../../../src/catalog/database/json-source.ts';

function mistakeIn(text: string): string {
  try {
    parseJson(text);
    return 'none';
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return `${error.place.line}:${error.place.column} ${error.message}`;
  }
}

describe('a JSON text', () => {
  it.each([
    ['{\n  "a": 1,\n}', '2:9 there is a comma too many before }'],
    ['{\n  "a": 1\n  "b": 2\n}', '3:3 a comma or } is missing here'],
    ['[1 2]', '1:4 a comma or ] is missing here'],
    ['{"a" 1}', '1:6 a colon is missing here'],
    ['{a: 1}', '1:2 the name of a field, in double quotes, is missing here'],
    ['{"a": yes}', '1:7 a value is missing here, or a text without quotes'],
    ['{"a": }', '1:7 a value is missing here, or a text without quotes'],
    ['{"a": 1', '1:8 the file ends in the middle'],
    ['', '1:1 the file ends in the middle'],
    ['{} {}', '1:4 nothing may follow the last bracket'],
    ['{"a": 1, "b": 2, "a": 3}', '1:18 the field "a" stands here twice'],
    [
      '{"a": "x\ny"}',
      '1:9 a text is not closed, or holds what must be written as an escape such as \\n or \\\\',
    ],
    ['['.repeat(17), '1:17 it is nested deeper than 16 levels'],
    ['['.repeat(1_000_000), '1:17 it is nested deeper than 16 levels'],
    ['{"a": [1, {"b": "\\u00e9\\n"}, -1.5e3, true, null]}', 'none'],
  ])('%#: its first mistake has a place', (text, mistake) => {
    expect(mistakeIn(text)).toBe(mistake);
  });

  it('is one exactly when JSON.parse takes it', () => {
    const text = fc
      .tuple(
        fc.json({ maxDepth: 4 }),
        fc.nat(200),
        fc.constantFrom(
          '',
          ',',
          '"',
          '}',
          ']',
          '{',
          '[',
          ':',
          '0',
          '-',
          '.',
          'e',
          '\\',
          '\u0000',
          ' ',
          'true',
        ),
        fc.nat(2),
      )
      .map(([json, at, piece, cut]) => json.slice(0, at) + piece + json.slice(at + cut));
    fc.assert(
      fc.property(text, (candidate) => {
        let isJson = true;
        try {
          JSON.parse(candidate);
        } catch {
          isJson = false;
        }
        const mistake = mistakeIn(candidate);
        // A field that stands twice is told first, whatever is wrong behind it.
        if (!mistake.endsWith('twice')) expect(mistake === 'none').toBe(isJson);
      }),
      { numRuns: 2000 },
    );
  });

  it('has a place for each of its values, and for what is missing that of what should hold it', () => {
    const text =
      '{\n  "controllers": [\n    { "id": "a" },\n    {\n      "ports": { "internal": 1 }\n    }\n  ]\n}\n';
    expect(locate(text, [])).toEqual({ line: 1, column: 1 });
    expect(locate(text, ['controllers', 0, 'id'])).toEqual({ line: 3, column: 13 });
    expect(locate(text, ['controllers', 1, 'ports', 'internal'])).toEqual({ line: 5, column: 30 });
    expect(locate(text, ['controllers', 1, 'image'])).toEqual({ line: 4, column: 5 });
    expect(locate(text, ['nothing'])).toEqual({ line: 1, column: 1 });
  });
});
