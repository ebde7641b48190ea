import type { Aim, Row } from '../measure/row.ts';

const HEADINGS = ['', 'ours', 'baseline', 'ratio', 'aim', 'result'] as const;

/** The rows as lines of text, columns aligned: names to the left, numbers to the right. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? '').length)));
  return lines.map((cells) => formatLine(cells, widths)).join('\n');
}

function formatLine(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, column) => {
    const width = widths[column] ?? 0;
    return column === 0 || column === cells.length - 1 ? cell.padEnd(width) : cell.padStart(width);
  });
  return padded.join('  ').trimEnd();
}

function cellsOf(row: Row): string[] {
  const { name, figure, baseline, baselineName, unit, ratio, difference, aim, isMet } = row;
  const found = aim.kind === 'difference' ? `${formatFigure(difference, unit)} beyond, ` : '';
  return [
    name,
    formatFigure(figure, unit),
    `${baselineName} ${formatFigure(baseline, unit)}`,
    ratio.toFixed(2),
    formatAim(aim, unit),
    `${found}${isMet ? 'met' : 'NOT MET'}`,
  ];
}

function formatAim(aim: Aim, unit: Row['unit']): string {
  if (aim.kind === 'ratio')
    return 'atLeast' in aim ? `ratio >= ${aim.atLeast.toFixed(2)}` : `ratio <= ${aim.atMost.toFixed(2)}`;
  if ('atLeast' in aim) return `>= ${aim.atLeast}${unit}`;
  return aim.kind === 'difference' ? `< ${aim.below} ${unit} beyond` : `< ${aim.below} ${unit}`;
}

/** Three digits that count; more would be noise. */
export function formatFigure(value: number, unit: Row['unit']): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return unit === '/s' ? `${value.toFixed(digits)}/s` : `${value.toFixed(digits)} ${unit}`;
}
