import { splitList, MAX_LIST_ENTRIES } from './list-types.ts';
import { isPlainText, type SettingType } from './setting-type.ts';

/** A token that opens the API. `read` looks at jobs; `full` changes them too. */
export interface Token {
  /** Who the caller is; the same on every node of a cluster. */
  readonly name: string;
  readonly scope: 'read' | 'full';
  readonly token: string;
}

/** 256 random bits in base64url have 43 characters; nobody guesses those. */
const MIN_TOKEN_LENGTH = 43;
const MAX_TOKEN_LENGTH = 512;

/** A YAML list of `{name, scope, token}`, or one text `name:scope:token,...`. Names and tokens occur once. */
export function tokenList(): SettingType<readonly Token[]> {
  return {
    allowed:
      'a list of `{name, scope: read|full, token}`, each name and token once, tokens of at least ' +
      `${MIN_TOKEN_LENGTH} characters (in a variable: \`name:scope:token,...\`)`,
    placeholder: 'tokens',
    read(input) {
      const isText = typeof input === 'string';
      const entries: unknown = isText ? splitList(input) : input;
      if (!Array.isArray(entries) || entries.length > MAX_LIST_ENTRIES) return undefined;
      const tokens = entries.map((entry) => tokenOf(isText ? String(entry).split(':') : partsOf(entry)));
      return tokens.every((token) => token !== undefined) && areDistinct(tokens)
        ? Object.freeze(tokens)
        : undefined;
    },
    show: (tokens) => tokens.map((token) => ({ ...token })),
  };
}

/** A token of its three parts in the order name, scope, token; `undefined` when one of them is wrong. */
export function tokenOf(parts: readonly unknown[]): Token | undefined {
  const [name, scope, token, ...rest] = parts;
  if (rest.length > 0 || !isPlainText(name) || !/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/.test(name))
    return undefined;
  if (scope !== 'read' && scope !== 'full') return undefined;
  if (!isPlainText(token) || token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH)
    return undefined;
  return /^[\x21-\x7e]+$/.test(token) ? Object.freeze({ name, scope, token }) : undefined;
}

export function areDistinct(tokens: readonly Token[]): boolean {
  const names = new Set(tokens.map(({ name }) => name));
  return names.size === tokens.length && new Set(tokens.map(({ token }) => token)).size === tokens.length;
}

/** YAML maps come as `Map`, so that no key of a file ever becomes a property. */
function partsOf(entry: unknown): readonly unknown[] {
  if (!(entry instanceof Map) || entry.size !== 3) return [];
  return [entry.get('name'), entry.get('scope'), entry.get('token')];
}
