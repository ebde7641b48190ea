/** What a client asks for in the URL. What it leaves out is undefined; of what it says twice the first counts. */
export interface DoorQuery {
  readonly controller?: string;
  readonly version?: string;
  readonly path?: string;
  readonly proc?: string;
  readonly job?: string;
}

/** Every name that is looked at. */
export const QUERY_NAMES: ReadonlySet<string> = new Set<keyof DoorQuery>([
  'controller',
  'version',
  'path',
  'proc',
  'job',
]);

/** Longest value, characters: that of a path. What else a value may be the catalog decides. */
const MAX_VALUE_LENGTH = 4_096;

export class QueryError extends Error {
  override readonly name = 'QueryError';
}

/** Reads a query as it was sent. Throws a `QueryError` with what is wrong; names that are not known mean nothing. */
export function readQuery(query: string): DoorQuery {
  const found = new Map<string, string>();
  for (const pair of query.split('&')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s).map(unescape);
    if (!QUERY_NAMES.has(name) || found.has(name) || value === '') continue;
    if (value.length > MAX_VALUE_LENGTH)
      throw new QueryError(`${name} is longer than ${MAX_VALUE_LENGTH} characters`);
    if (hasControlCharacter(value)) throw new QueryError(`${name} holds a control character`);
    found.set(name, value);
  }
  return Object.fromEntries(found);
}

function unescape(text: string): string {
  if (!ESCAPED.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    const bad = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(text)?.[0] ?? text.slice(0, MAX_SHOWN_LENGTH);
    throw new QueryError(`invalid URL escape ${JSON.stringify(bad)}`);
  }
}

const MAX_SHOWN_LENGTH = 64;
const ESCAPED = /[%+]/;

function hasControlCharacter(text: string): boolean {
  return /[\u0000-\u001f\u007f]/.test(text);
}
