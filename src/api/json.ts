import { isUtf8 } from 'node:buffer';

/** Why a body is no JSON that we take. */
export type JsonProblem = 'not_utf8' | 'not_json' | 'too_deep';

export type JsonText =
  | { readonly ok: true; readonly value: unknown; readonly mayHaveForbiddenKeys: boolean }
  | { readonly ok: false; readonly problem: JsonProblem };

/** Keys that reach an object's prototype where code is careless. Nobody needs one as a field, a label or a variable. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Reads a body. Nesting is counted before it is parsed; it cannot exceed the limit when the body is too short for as
 * many pairs of brackets, so short ones are not scanned.
 */
export function parseJson(body: Buffer, maxNesting: number): JsonText {
  if (body.length > 2 * maxNesting && isDeeperThan(body, maxNesting))
    return { ok: false, problem: 'too_deep' };
  if (!isUtf8(body)) return { ok: false, problem: 'not_utf8' };
  const text = body.toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    return { ok: true, value, mayHaveForbiddenKeys: mayHaveForbiddenKeys(text) };
  } catch {
    return { ok: false, problem: 'not_json' };
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;

function isDeeperThan(body: Buffer, maxNesting: number): boolean {
  let depth = 0;
  let isInString = false;
  for (let index = 0; index < body.length; index += 1) {
    const byte = body[index];
    if (isInString) {
      if (byte === BACKSLASH) index += 1;
      else if (byte === QUOTE) isInString = false;
    } else if (byte === QUOTE) {
      isInString = true;
    } else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      depth += 1;
      if (depth > maxNesting) return true;
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      depth -= 1;
    }
  }
  return false;
}

/** A quick look at the text; an escape may hide a key, so any text with one has to be walked. */
function mayHaveForbiddenKeys(text: string): boolean {
  return text.includes('proto') || text.includes('constructor') || text.includes('\\u');
}

/** Where the first forbidden key is, such as `params[0].env.__proto__`. Nesting is bounded by then. */
export function findForbiddenKey(value: unknown, path = ''): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const found = findForbiddenKey(item, `${path}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  for (const [key, member] of Object.entries(value)) {
    const memberPath = path === '' ? key : `${path}.${key}`;
    if (FORBIDDEN_KEYS.has(key)) return memberPath;
    const found = findForbiddenKey(member, memberPath);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether it is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
