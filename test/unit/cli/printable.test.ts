import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isPrintable,
  printable,
  printableJson,
  printableLogLine,
} from '../../../cmd/cli/screen/printable.ts';
import { serialise } from '../../../cmd/cli/output.ts';

const ESCAPE = '\u001b';
const NAUGHTY = [
  'a\u001b]0;title\u0007b',
  'a\u009bb',
  'line\nline',
  'left\u202eright',
  '\u2028\u2029\ufeff',
  'lone \ud800 surrogate',
  '\u0000\u007f',
];

describe('L1: text of others on a terminal', () => {
  it.each([
    ['a\u001b[31mb', 'a\\x1b[31mb'],
    ['tab\tnew\nret\r', 'tab\\tnew\\nret\\r'],
    ['\u202e', '\\u202e'],
    ['\ud800', '\\ud800'],
    ['plain text, ünïcode 日本 😀', 'plain text, ünïcode 日本 😀'],
  ])('%j is shown as %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('is one safe line, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => isPrintable(printable(text))),
      { numRuns: 2_000 },
    );
  });

  it.each(NAUGHTY)('%j survives JSON and YAML unharmed, and no byte of it acts', async (text) => {
    const json = await serialise('json', { text, list: [text] });
    expect(JSON.parse(json)).toEqual({ text, list: [text] });
    expect(isPrintable(json.replaceAll('\n', ''))).toBe(true);
    const yaml = await serialise('yaml', { text });
    expect(isPrintable(yaml.replaceAll('\n', ''))).toBe(true);
    const { parse } = await import('yaml');
    expect(parse(yaml)).toEqual({ text });
  });

  it('leaves JSON that is safe already as it is', () => {
    expect(printableJson('{\n  "a": "ü"\n}')).toBe('{\n  "a": "ü"\n}');
  });
});

describe('a log line on a terminal', () => {
  it.each([
    ['plain\ttext', 'plain\ttext'],
    [`${ESCAPE}[1;31mred${ESCAPE}[0m`, `${ESCAPE}[1;31mred${ESCAPE}[0m${ESCAPE}[0m`],
    [`${ESCAPE}[31mnot reset`, `${ESCAPE}[31mnot reset${ESCAPE}[0m`],
    [`${ESCAPE}[2Jcleared`, '\\x1b[2Jcleared'],
    [`${ESCAPE}]0;title\u0007`, '\\x1b]0;title\\x07'],
    ['over\rwritten', 'over\\rwritten'],
  ])('%j is shown as %j', (line, shown) => {
    expect(printableLogLine(line)).toBe(shown);
  });
});
