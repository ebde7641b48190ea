import { describe, expect, it } from 'vitest';
import { renderFields, renderTable, wrap, type Column } from '../../../cmd/cli/screen/table.ts';
import { paintAnsi } from '../../../cmd/cli/screen/style.ts';
import { textWidth, truncate, truncateStart } from '../../../cmd/cli/screen/text-width.ts';

interface Row {
  readonly id: string;
  readonly image: string;
  readonly note: string;
  readonly size: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { header: 'ID', value: ({ id }) => id, style: () => 'red' },
  { header: 'IMAGE', value: ({ image }) => image, minWidth: 6, cutAt: 'start' },
  { header: 'NOTE', value: ({ note }) => note, minWidth: 4, isOptional: true },
  { header: 'SIZE', value: ({ size }) => size, align: 'right' },
];
const row = (changes: Partial<Row> = {}): Row => ({
  id: 'a1',
  image: 'app',
  note: '',
  size: '5',
  ...changes,
});

describe('renderTable', () => {
  it('aligns columns, numbers to the right, and leaves out what nobody has', () => {
    const rows = [row(), row({ id: 'b22', image: 'busybox', size: '1000' })];
    expect(renderTable(COLUMNS, rows)).toBe(
      ['ID   IMAGE    SIZE', 'a1   app         5', 'b22  busybox  1000', ''].join('\n'),
    );
  });

  it.each([80, 40, 30, 24, 10, 5, 1])('is never wider than a screen of %i columns', (screenWidth) => {
    const rows = [
      row({ image: 'registry.example/team/app:1.2.3', note: 'a long note '.repeat(5) }),
      row({ image: '日本語のイメージ' }),
    ];
    for (const line of renderTable(COLUMNS, rows, { screenWidth }).split('\n')) {
      expect(textWidth(line)).toBeLessThanOrEqual(screenWidth);
    }
  });

  it('cuts the widest that may be cut, and never what must be whole while there is room', () => {
    const rows = [row({ id: 'must-stay-whole', image: 'registry.example/team/app:1.2.3' })];
    const [, line] = renderTable(COLUMNS, rows, { screenWidth: 32 }).split('\n');
    expect(line).toBe('must-stay-whole  …pp:1.2.3     5');
  });

  it('cuts nothing where there is no screen', () => {
    expect(renderTable(COLUMNS, [row({ note: 'x'.repeat(500) })])).toContain('x'.repeat(500));
  });

  it('colours cells without counting the colour as width', () => {
    const painted = renderTable(COLUMNS, [row(), row({ id: 'longer' })], { paint: paintAnsi });
    expect(painted).toContain('\u001b[31ma1    \u001b[0m  app');
  });

  it('L1: shows control characters of values and acts on none', () => {
    const text = renderTable(COLUMNS, [row({ image: 'x\u001b[2J\r\n\u009b31m\u202e', note: '\u0007' })]);
    expect(text.split('\n')).toHaveLength(3);
    expect(text).toContain('x\\x1b[2J\\r\\n\\x9b31m\\u202e');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});

describe('renderFields', () => {
  it('aligns values, leaves out empty ones and wraps long ones below themselves', () => {
    const text = renderFields(
      [
        ['Job', '1'],
        ['Message', 'no such image anywhere on this host'],
        ['Empty', ''],
        ['Absent', undefined],
      ],
      { screenWidth: 30 },
    );
    expect(text).toBe('Job      1\nMessage  no such image\n         anywhere on this host\n');
  });
});

describe('wrap', () => {
  it('breaks between words, and within one that is longer than a line', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrap('abcdefghij kl', 4)).toEqual(['abcd', 'efgh', 'ij', 'kl']);
    expect(wrap('', 4)).toEqual(['']);
  });
});

describe('text width', () => {
  it.each([
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['日本', 4],
    ['😀', 2],
    ['', 0],
  ])('%j takes %i columns', (text, width) => {
    expect(textWidth(text)).toBe(width);
  });

  it.each([
    ['abcdef', 4, 'abc…', '…def'],
    ['abc', 3, 'abc', 'abc'],
    ['日本語', 4, '日…', '…語'],
    ['abc', 0, '', ''],
    ['abc', 1, '…', '…'],
  ])('%j cut to %i columns', (text, columns, head, tail) => {
    expect(truncate(text, columns)).toBe(head);
    expect(truncateStart(text, columns)).toBe(tail);
  });
});
