import { globSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** Longer than anything a limit lets through to most patterns. */
const INPUT_LENGTH = 100_000;
const LIMIT_MS = 50;

/** Texts on which a pattern that backtracks loses its way: long runs of what it may repeat, and an end that does not fit. */
const PIECES = [
  'a',
  'A',
  '0',
  '1',
  ' ',
  '.',
  '-',
  '_',
  '/',
  ':',
  '=',
  '%',
  '"',
  '\\',
  '\n',
  '\u001b',
  'a0',
  'a.',
  'a-',
  'a/',
  '0m',
  '1s',
];
const ENDS = ['', '!', '\0'];

/** Every regular expression that stands in the source. */
function patterns(): { where: string; pattern: RegExp }[] {
  return globSync('{src,cmd}/**/*.ts').flatMap((file) => {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
    const found: { where: string; pattern: RegExp }[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node)) {
        const end = node.text.lastIndexOf('/');
        const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        found.push({
          where: `${file}:${line}`,
          pattern: new RegExp(node.text.slice(1, end), node.text.slice(end + 1)),
        });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

/** The first input on which the pattern is slow, three times over: what else the machine does is not the pattern's. */
function slowInput(pattern: RegExp): string | undefined {
  for (const piece of PIECES) {
    for (const end of ENDS) {
      const text = piece.repeat(INPUT_LENGTH / piece.length) + end;
      if (isSlow(pattern, text) && isSlow(pattern, text) && isSlow(pattern, text)) {
        return `${JSON.stringify(piece)} repeated, then ${JSON.stringify(end)}`;
      }
    }
  }
  return undefined;
}

function isSlow(pattern: RegExp, text: string): boolean {
  const startedMs = performance.now();
  pattern.lastIndex = 0;
  pattern.test(text);
  return performance.now() - startedMs > LIMIT_MS;
}

describe('L3: every regular expression of the source', () => {
  it('can be slow where it is badly written: the test can tell', () => {
    expect(isSlow(/^(a+)+$/, `${'a'.repeat(25)}!`)).toBe(true);
  });

  it.each(patterns())('is quick on 100 KB of the worst: $where $pattern', ({ pattern }) => {
    expect(slowInput(pattern)).toBeUndefined();
  });
});
