import { LineCounter, parseDocument } from 'yaml';
import { messageOf } from '../kernel/errors.ts';
import { readBoundedFile } from './bounded-file.ts';
import { FORMER_KEY_NAMES } from './former-keys.ts';
import type { Problem } from './problem.ts';
import { isSettingKey, SETTING_KEYS } from './settings.ts';

/** What a YAML file says: values by key (nested or dotted), and what is wrong with the file itself. */
export interface FileValues {
  readonly values: ReadonlyMap<string, unknown>;
  readonly problems: readonly Problem[];
}

/** Deepest nesting that can still name a setting. */
const MAX_KEY_DEPTH = 3;

export function readYamlFile(file: string): FileValues {
  try {
    return flatten(parse(readBoundedFile(file).text));
  } catch (error) {
    const text = `cannot use ${file}: ${messageOf(error)}`;
    return {
      values: new Map(),
      problems: [{ key: 'config', source: 'file', value: file, expected: 'a YAML file', text }],
    };
  }
}

/** Maps come as `Map`: a key such as `__proto__` is a key like any other. */
function parse(source: string): unknown {
  const lineCounter = new LineCounter();
  // The library's own messages quote the source, and with it perhaps a token: only code and place are passed on.
  const document = parseDocument(source, {
    lineCounter,
    prettyErrors: false,
    logLevel: 'error',
    version: '1.2',
  });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    throw new Error(`it is not valid YAML: line ${line}, column ${col} (${error.code})`);
  }
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  } catch {
    throw new Error('it is not valid YAML: an alias cannot be resolved');
  }
}

function flatten(root: unknown): FileValues {
  if (root === null || root === undefined) return { values: new Map(), problems: [] };
  if (!(root instanceof Map)) throw new Error('it does not hold keys and values');
  const values = new Map<string, unknown>();
  const problems: Problem[] = [];
  const visit = (map: Map<unknown, unknown>, prefix: string, depth: number): void => {
    for (const [name, value] of map) {
      const key = `${prefix}${String(name)}`;
      if (values.has(key)) problems.push(duplicate(key));
      else if (value instanceof Map && isSection(key) && depth < MAX_KEY_DEPTH)
        visit(value, `${key}.`, depth + 1);
      // An empty section, `docker:` with nothing below it, says nothing.
      else if (!(value === null && isSection(key))) values.set(key, value);
    }
  };
  visit(root, '', 1);
  return { values, problems };
}

const KEYS: readonly string[] = [...SETTING_KEYS, ...FORMER_KEY_NAMES];

function isSection(key: string): boolean {
  return !isSettingKey(key) && KEYS.some((name) => name.startsWith(`${key}.`));
}

function duplicate(key: string): Problem {
  return {
    key,
    source: 'file',
    value: '',
    expected: 'each key once',
    text: `${key} stands in the file twice`,
  };
}
