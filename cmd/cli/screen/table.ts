import { printable } from './printable.ts';
import { paintNothing, type Paint, type Style } from './style.ts';
import { padTo, textWidth, truncate, truncateStart } from './text-width.ts';

export interface Column<Row> {
  readonly header: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** May be cut down to this width where the screen is narrow. Left out: never cut. */
  readonly minWidth?: number;
  /** Where it is cut; at the end unless said otherwise. */
  readonly cutAt?: 'start' | 'end';
  /** Left out of the table when no row has a value. */
  readonly isOptional?: boolean;
  readonly style?: (row: Row) => Style | undefined;
}

export interface TableOptions {
  /** Columns of the screen; without, nothing is cut. */
  readonly screenWidth?: number | undefined;
  readonly paint?: Paint;
}

const GAP = '  ';

/** Aligned lines, each ended by a line end, no longer than the screen. Values are made printable here. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  const { screenWidth, paint = paintNothing } = options;
  const filled = columns
    .map((column) => ({ column, cells: rows.map((row) => printable(column.value(row))) }))
    .filter(({ column, cells }) => column.isOptional !== true || cells.some((cell) => cell !== ''));
  const widths = fit(
    filled.map(({ column, cells }) => ({
      width: cells.reduce((max, cell) => Math.max(max, textWidth(cell)), textWidth(column.header)),
      minWidth: column.minWidth,
    })),
    screenWidth,
  );
  const line = (cellOf: (index: number) => { text: string; style: Style | undefined }): string => {
    const parts = filled.map(({ column }, index) => {
      const { text, style } = cellOf(index);
      const width = widths[index] ?? 0;
      const cut = column.cutAt === 'start' ? truncateStart(text, width) : truncate(text, width);
      const isLast = index === filled.length - 1 && column.align !== 'right';
      return paint(style, isLast ? cut : padTo(cut, width, column.align ?? 'left'));
    });
    return `${parts.join(GAP).trimEnd()}\n`;
  };
  const header = line((index) => ({ text: filled[index]?.column.header ?? '', style: 'bold' }));
  const body = rows.map((row, rowIndex) =>
    line((index) => ({
      text: filled[index]?.cells[rowIndex] ?? '',
      style: filled[index]?.column.style?.(row),
    })),
  );
  return header + body.join('');
}

/** The widths, of which the widest that may be cut give way until the line fits, and then all from the right. */
function fit(
  columns: readonly { readonly width: number; readonly minWidth: number | undefined }[],
  screenWidth: number | undefined,
): readonly number[] {
  const widths = columns.map(({ width }) => width);
  if (screenWidth === undefined) return widths;
  let overflow =
    widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - screenWidth;
  for (; overflow > 0; overflow -= 1) {
    const widest = widestOf(widths, (index) => columns[index]?.minWidth ?? Number.POSITIVE_INFINITY);
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  for (let index = widths.length - 1; overflow > 0 && index >= 0; index -= 1) {
    const cut = Math.min(overflow, widths[index] ?? 0);
    widths[index] = (widths[index] ?? 0) - cut;
    overflow -= cut;
  }
  return widths;
}

function widestOf(widths: readonly number[], floorOf: (index: number) => number): number | undefined {
  let widest: number | undefined;
  for (const [index, width] of widths.entries()) {
    if (width > floorOf(index) && (widest === undefined || width > (widths[widest] ?? 0))) widest = index;
  }
  return widest;
}

/** Names and values below each other; those without a value are left out. */
export function renderFields(
  fields: readonly (readonly [name: string, value: string | undefined, style?: Style | undefined])[],
  options: TableOptions = {},
): string {
  const { screenWidth, paint = paintNothing } = options;
  const present = fields.filter(([, value]) => value !== undefined && value !== '');
  const nameWidth = present.reduce((max, [name]) => Math.max(max, name.length), 0);
  const room = screenWidth === undefined ? undefined : screenWidth - nameWidth - GAP.length;
  return present
    .map(([name, value = '', style]) => {
      const text = printable(value);
      const shown =
        room === undefined ? text : wrap(text, Math.max(20, room)).join(`\n${' '.repeat(nameWidth)}${GAP}`);
      return `${paint('bold', padTo(name, nameWidth, 'left'))}${GAP}${paint(style, shown)}\n`;
    })
    .join('');
}

/** Broken between words where that can be, within them where not. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`;
    if (textWidth(joined) <= columns) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (textWidth(line) > columns) {
      const head = truncate(line, columns + 1).slice(0, -1);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return [...lines, line];
}
