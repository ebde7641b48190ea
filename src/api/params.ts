import type { z } from 'zod';
import { ApiError } from './errors.ts';

/** One thing that is wrong with a request, where it is, and what was found there. */
export interface ParamProblem {
  readonly path: string;
  readonly message: string;
  readonly value?: unknown;
}

/** Problems told at once; a request may hold thousands. */
const MAX_PROBLEMS = 20;

/** A longer value is cut: it is quoted to find the place, not to be read. */
const MAX_VALUE_LENGTH = 64;
const MAX_PATH_LENGTH = 256;

/** Fields in which secrets live; their values are never quoted. */
const SECRET_FIELDS: ReadonlySet<PropertyKey> = new Set([
  'env',
  'arguments',
  'entrypoint',
  'healthcheck',
  'idempotency_key',
]);

/**
 * Checks `input` against `schema` and gives what the schema makes of it. Fails with `invalid_params`, naming the first
 * field and its value in the message, and up to twenty in the details.
 */
export function readParams<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, input)).slice(0, MAX_PROBLEMS);
  throw invalidParams(problems);
}

export function invalidParams(problems: readonly ParamProblem[]): ApiError {
  return new ApiError('invalid_params', messageOf(problems), { details: { problems } });
}

function messageOf(problems: readonly ParamProblem[]): string {
  const missingImage = problems.find(({ path, message }) => path === 'image' && message === IS_REQUIRED);
  const first = missingImage ?? problems[0];
  if (first === undefined) return 'invalid params';
  // Clients of the first version look for these very words.
  if (first === missingImage) return 'invalid request: image is required';
  const place = first.path === '' ? 'the params' : first.path;
  const found = 'value' in first ? ` (got ${JSON.stringify(first.value)})` : '';
  return `invalid params: ${place} ${first.message}${found}`;
}

const IS_REQUIRED = 'is required';

function problemsOf(issue: z.core.$ZodIssue, input: unknown): ParamProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: pathText([...issue.path, key]),
      message: 'is not a known field',
    }));
  }
  const found = valueAt(input, issue.path);
  return [{ path: pathText(issue.path), message: describe(issue, found), ...shown(found, issue.path) }];
}

function describe(issue: z.core.$ZodIssue, found: unknown): string {
  // An empty name stands for none, as it does where every string begins empty.
  if (found === undefined || (found === '' && issue.path[0] === 'image')) return IS_REQUIRED;
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${named(issue.expected)}, not ${named(typeName(found))}`;
    case 'invalid_union':
      return `has the wrong type: ${named(typeName(found))}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case undefined:
      return issue.message;
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' ? ' entries long' : '';
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function named(type: string): string {
  if (type === 'int') return 'a whole number';
  if (type === 'null' || type === 'undefined') return type;
  const name = type === 'record' ? 'object' : type;
  return /^[aeiou]/.test(name) ? `an ${name}` : `a ${name}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** Only scalars are worth quoting. */
function shown(value: unknown, path: readonly PropertyKey[]): { value?: unknown } {
  if (path.some((key) => SECRET_FIELDS.has(key))) return {};
  if (typeof value === 'string') return { value: value.slice(0, MAX_VALUE_LENGTH) };
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? { value } : {};
}

/** `resources.memory`, `arguments[2]`. */
function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path)
    text += typeof key === 'number' ? `[${key}]` : `${text === '' ? '' : '.'}${String(key)}`;
  return text.slice(0, MAX_PATH_LENGTH);
}
