import { createReadStream } from 'node:fs';
import { messageOf } from '../../../../src/kernel/errors.ts';
import { UsageError } from '../../cli-error.ts';

/** Longest file worth reading: a thousand controllers with long descriptions are less, bytes. */
const MAX_FILE_BYTES = 8 * 1024 ** 2;

/** Stands for a value that the node keeps to itself. */
const HIDDEN = '***';

/** What the node writes into an entry by itself, and what it shows besides: nothing of it is taken from a file. */
const FIELDS_OF_THE_NODE: ReadonlySet<string> = new Set([
  'created_at',
  'updated_at',
  'is_valid',
  'validate_info',
  'source',
  'digest',
  'validation',
  'validated_at',
  'format',
]);

export type Entry = Readonly<Record<string, unknown>>;

/** The controllers of a file, or of what is piped in for `-`, without what the node adds by itself. */
export async function readEntries(file: string): Promise<readonly Entry[]> {
  const entries = entriesIn(parse(await read(file), file), file);
  for (const entry of entries) refuseHidden(entry);
  return entries.map((entry) =>
    Object.fromEntries(Object.entries(entry).filter(([field]) => !FIELDS_OF_THE_NODE.has(field))),
  );
}

async function read(file: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    const stream = file === '-' ? process.stdin : createReadStream(file);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_FILE_BYTES) break;
    }
  } catch (error) {
    throw new UsageError(`the file cannot be read: ${messageOf(error)}`);
  }
  if (bytes > MAX_FILE_BYTES) throw new UsageError(`${file} is longer than ${MAX_FILE_BYTES} bytes`);
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and with it perhaps a secret.
    throw new UsageError(`${file} is not JSON`);
  }
}

function entriesIn(value: unknown, file: string): readonly Entry[] {
  const listed =
    isObject(value) && Object.hasOwn(value, 'controllers') ? (value['controllers'] ?? []) : value;
  const entries = Array.isArray(listed) ? (listed as readonly unknown[]) : [listed];
  if (entries.every(isObject)) return entries;
  throw new UsageError(
    `${file} holds something else than controllers`,
    'see the fields of one: docs/catalog.md',
  );
}

/** What was shown by a node has no values: they would be written over those there are. */
function refuseHidden({ id, env }: Entry): void {
  if (!isObject(env)) return;
  const hidden = Object.keys(env).filter((name) => env[name] === HIDDEN);
  if (hidden.length === 0) return;
  throw new UsageError(
    `env of ${JSON.stringify(id)} holds no values, only ${HIDDEN}: ${hidden.join(', ')}`,
    'put the values in, or take the variables out',
  );
}

function isObject(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
