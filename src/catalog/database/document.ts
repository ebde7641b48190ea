import { z } from 'zod';
import { type Controller, type ControllerRecord, controllerSchema, ENTRY_FIELDS } from '../controller.ts';
import { fieldProblem, fieldText } from '../issue.ts';
import { JsonSyntaxError, locate, parseJson, type Path, type Place } from './json-source.ts';

/** A list by hand has tens of entries; one by discovery, one for each image. */
export const MAX_CONTROLLERS = 1000;
/** Each costs a look through the whole text. */
const MAX_WARNINGS = 20;

/** What the database file holds. */
export interface CatalogDocument {
  readonly text: string;
  /** As they stand there, in their order. */
  readonly records: readonly ControllerRecord[];
  /** What is in force: of two records of one id and version the last. */
  readonly controllers: readonly Controller[];
  /** Of what is in force all the same, for people. */
  readonly warnings: readonly string[];
}

/** Why a text is no database file, and where. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';
  readonly place: Place | undefined;

  constructor(message: string, place?: Place) {
    super(message);
    this.place = place;
  }
}

// Programs that write a list of nothing as null are taken at their word.
const root = z.strictObject({ controllers: z.array(z.unknown()).max(MAX_CONTROLLERS).nullable() });

/** Reads the text of a database file. Throws a `DocumentError` that says which entry, which field and where. */
export function decodeDocument(text: string): CatalogDocument {
  const value = parse(text);
  const outer = root.safeParse(value);
  if (!outer.success) throw new DocumentError(rootProblem(outer.error), { line: 1, column: 1 });
  const records = outer.data.controllers ?? [];
  const read = records.map((record, index) => decodeRecord(text, record, index));
  return { text, records: records as ControllerRecord[], ...inForce(text, read) };
}

/** The same file, with other records. */
export function encodeDocument(records: readonly ControllerRecord[]): string {
  return `${JSON.stringify({ controllers: records }, null, 2)}\n`;
}

/** Says which entries two records stand for. */
export function keyOf({
  id,
  version,
}: {
  readonly id: string;
  readonly version?: string | undefined;
}): string {
  return JSON.stringify([id, version ?? '']);
}

function parse(text: string): unknown {
  if (text.trim() === '') throw new DocumentError('it is empty; a list of nothing is {"controllers": []}');
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new DocumentError(`not JSON: ${error.message}`, error.place);
    throw error;
  }
}

function rootProblem(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue?.code === 'too_big'
    ? `more than ${MAX_CONTROLLERS} controllers`
    : 'must be one object with the field controllers, a list of entries, and no other';
}

function decodeRecord(text: string, record: unknown, index: number): Controller {
  const result = controllerSchema.safeParse(record);
  if (result.success) return frozen(result.data);
  const problem = fieldProblem(result.error, ENTRY_FIELDS[''] ?? []);
  const path: Path = ['controllers', index, ...problem.path];
  throw new DocumentError(`${nameOf(record, index)}: ${fieldText(problem)}`, locate(text, path));
}

function nameOf(record: unknown, index: number): string {
  const { id, version } = (record ?? {}) as { id?: unknown; version?: unknown };
  if (typeof id !== 'string' || id === '') return `controller number ${index + 1}`;
  return `controller ${[id, version]
    .filter((part) => typeof part === 'string')
    .join(' ')
    .slice(0, 128)}`;
}

function inForce(
  text: string,
  read: readonly Controller[],
): Pick<CatalogDocument, 'controllers' | 'warnings'> {
  const lastIndex = new Map(read.map((entry, index) => [keyOf(entry), index]));
  const doesCount = (entry: Controller, index: number): boolean => lastIndex.get(keyOf(entry)) === index;
  const shadowed = read.flatMap((entry, index) => (doesCount(entry, index) ? [] : [{ entry, index }]));
  const warnings = shadowed.slice(0, MAX_WARNINGS).map(({ entry, index }) => {
    const { line } = locate(text, ['controllers', index]);
    return (
      `controller ${entry.id} ${entry.version} stands in the file more than once; ` +
      `the one in line ${line} does not count`
    );
  });
  return { controllers: read.filter(doesCount), warnings };
}

/** Whoever is handed an entry cannot change it for others. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}
