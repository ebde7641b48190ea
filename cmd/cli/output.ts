import type { Cli } from './cli.ts';
import type { OutputFormat } from './client-options.ts';
import { isPrintable, printableJson } from './screen/printable.ts';
import { renderTable, type Column } from './screen/table.ts';

/** Rows as a table, a JSON array, a YAML list, or one JSON object a line. */
export async function printRows<Row>(
  cli: Cli,
  format: OutputFormat,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): Promise<void> {
  const { out } = cli.terminal;
  if (format === 'table') {
    return out.write(renderTable(columns, rows, { screenWidth: out.width, paint: out.paint }));
  }
  if (format !== 'ndjson') return printValue(cli, format, rows);
  for (const row of rows) await printValue(cli, 'ndjson', row);
}

/** One value, for programs. */
export async function printValue(
  cli: Cli,
  format: Exclude<OutputFormat, 'table'>,
  value: unknown,
): Promise<void> {
  await cli.terminal.out.write(await serialise(format, value));
}

export async function serialise(format: Exclude<OutputFormat, 'table'>, value: unknown): Promise<string> {
  switch (format) {
    case 'json':
      return `${printableJson(JSON.stringify(value, undefined, 2))}\n`;
    case 'ndjson':
      return `${printableJson(JSON.stringify(value))}\n`;
    case 'yaml':
      return toYaml(value);
  }
}

/** The library takes long to load, and few ask for it. */
async function toYaml(value: unknown): Promise<string> {
  const { Document, visit, Scalar } = await import('yaml');
  const document = new Document(value);
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === 'string' && !isPrintable(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return printableJson(document.toString({ lineWidth: 0 }));
}
