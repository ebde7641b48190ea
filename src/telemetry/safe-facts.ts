import { CodedError, InvariantError } from '../kernel/errors.ts';
import { safeText } from './safe-text.ts';

/** What one log line may hold; the rest is left out, and said to be. */
const MAX_DEPTH = 4;
const MAX_MEMBERS = 32;
const MAX_STACK_LINES = 20;
const MAX_CAUSES = 4;

export const HIDDEN = '***';

/** Names, letters only and in lower case, whose values are never logged, however deep they stand. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'env',
  'environment',
  'environ',
  'auth',
  'auths',
  'authconfig',
  'cookie',
  'setcookie',
  'psk',
  'xregistryconfig',
]);

/** So do names that end like this: `accessToken`, `auth.tokens`, `X-Registry-Auth`, `db_password`. */
const SECRET_ENDINGS = [
  'token',
  'tokens',
  'authorization',
  'registryauth',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'secrets',
  'credential',
  'credentials',
  'privatekey',
  'apikey',
  'clusterkey',
];

/** Secrets inside texts: an Authorization value, and user and password in a URL. */
const CREDENTIALS = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const USER_INFO = /(\b[a-z][a-z0-9+.-]{0,15}:\/\/)[^\s/@]{1,256}@/gi;

export interface SafeOptions {
  /** Whether errors show where they were thrown. Those of our own mistakes always do. */
  readonly withStacks: boolean;
}

/** A copy that is safe to log: bounded, one line per text, secrets and functions left out. Never throws. */
export function safeFacts(facts: object, options: SafeOptions): Record<string, unknown> {
  try {
    if (facts instanceof Error) return { err: safeError(facts, options) };
    return safeMembers(facts, options, 0, []);
  } catch {
    // A getter or a proxy may throw, and a log line must never be the reason that something fails.
    return { facts: 'unreadable' };
  }
}

/** A text for a log line, with the credentials it may quote hidden. */
export function safeMessage(text: string): string {
  // Cut before it is searched, so that a long text costs no more than a short one.
  return safeText(hideCredentials(text.slice(0, MAX_SEARCHED_LENGTH)));
}

/** Twice a field: what is cut off afterwards cannot show a half-hidden secret. */
const MAX_SEARCHED_LENGTH = 2048;

function hideCredentials(text: string): string {
  return text.replaceAll(CREDENTIALS, `$1 ${HIDDEN}`).replaceAll(USER_INFO, `$1${HIDDEN}@`);
}

function safeValue(value: unknown, options: SafeOptions, depth: number, above: readonly object[]): unknown {
  if (typeof value === 'string') return safeMessage(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return safeError(value, options);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= MAX_DEPTH || above.includes(value)) return '...';
  const path = [...above, value];
  if (Array.isArray(value)) return safeItems(value, options, depth, path);
  return safeMembers(value instanceof Map ? Object.fromEntries(value) : value, options, depth, path);
}

function safeItems(
  items: readonly unknown[],
  options: SafeOptions,
  depth: number,
  path: readonly object[],
): unknown[] {
  const shown = items.slice(0, MAX_MEMBERS).map((item, index) => {
    // Raw headers are a flat list of names and values.
    const isSecret = index > 0 && isSecretName(items[index - 1]);
    return isSecret ? HIDDEN : (safeValue(item, options, depth + 1, path) ?? null);
  });
  return items.length > MAX_MEMBERS ? [...shown, `${items.length - MAX_MEMBERS} more`] : shown;
}

function safeMembers(
  facts: object,
  options: SafeOptions,
  depth: number,
  path: readonly object[],
): Record<string, unknown> {
  const safe = Object.create(null) as Record<string, unknown>;
  let count = 0;
  for (const [name, value] of Object.entries(facts)) {
    count += 1;
    if (count > MAX_MEMBERS) break;
    const safeName = safeText(name);
    safe[depth === 0 ? unreserved(safeName) : safeName] = isSecretName(name)
      ? HIDDEN
      : safeValue(value, options, depth + 1, path);
  }
  if (count > MAX_MEMBERS) safe['more'] = 'left out';
  return safe;
}

function isSecretName(name: unknown): boolean {
  if (typeof name !== 'string') return false;
  const letters = name
    .slice(-64)
    .replaceAll(/[^A-Za-z]/g, '')
    .toLowerCase();
  return SECRET_NAMES.has(letters) || SECRET_ENDINGS.some((ending) => letters.endsWith(ending));
}

/** Fields that the logger writes itself, and the one it needs to be a function. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'hasOwnProperty']);

function unreserved(name: string): string {
  return RESERVED.has(name) ? `${name}_` : name;
}

/** An error as it is logged: what kind, which code, what it says; where from only where that helps. */
function safeError(error: Error, options: SafeOptions, causes = 0): Record<string, unknown> {
  const isOurMistake = error instanceof InvariantError;
  const code: unknown = (error as { code?: unknown }).code;
  return {
    name: safeText(String(error.name === 'Error' ? error.constructor.name : error.name)),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: safeText(String(code)) } : {}),
    message: safeMessage(String(error.message)),
    ...(error instanceof CodedError ? { details: safeMembers(error.details, options, 1, [error]) } : {}),
    ...(options.withStacks || isOurMistake ? { stack: safeStack(error) } : {}),
    ...(error.cause instanceof Error && causes < MAX_CAUSES
      ? { cause: safeError(error.cause, options, causes + 1) }
      : {}),
  };
}

/** One text per line of the stack, without the message that stands above it. */
function safeStack(error: Error): string[] {
  const lines = String(error.stack)
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  return lines.slice(0, MAX_STACK_LINES).map((line) => safeText(line.trim()));
}
