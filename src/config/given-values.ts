import { isDeepStrictEqual } from 'node:util';
import { nearest } from '../kernel/nearest.ts';
import { FORMER_KEY_NAMES, formerKey, type FormerValue } from './former-keys.ts';
import { shown, type Problem, type Source } from './problem.ts';
import { flagOf, SETTING_KEYS, settingOf, variableOf, VARIABLE_PREFIX, type SettingKey } from './settings.ts';

/** What somebody gave for a setting, and where. */
export interface Given {
  readonly source: Source;
  readonly value: unknown;
  /** The name it was given under: `--port`, `CONTAINER_MANAGER_PORT`, `port`, `server.port`. */
  readonly name: string;
  /** How it is written under that name, where not as elsewhere. */
  readonly former?: FormerValue;
}

/** What one source gave, by setting. */
export interface GivenValues {
  readonly values: ReadonlyMap<SettingKey, Given>;
  readonly problems: readonly Problem[];
}

/** Variables with our prefix that are no settings: those of the client, the file's name, and the fault tests' switch. */
export const OTHER_VARIABLES: ReadonlySet<string> = new Set(
  ['ADDRESS', 'TOKEN', 'OUTPUT', 'CONFIG', 'FAIL_AT'].map((name) => `${VARIABLE_PREFIX}${name}`),
);

const KEY_OF_VARIABLE: ReadonlyMap<string, SettingKey> = new Map(
  SETTING_KEYS.map((key) => [variableOf(key), key]),
);

const KEY_OF_FLAG: ReadonlyMap<string, SettingKey> = new Map(
  SETTING_KEYS.flatMap((key) => {
    const names = [flagOf(key), ...(settingOf(key).aliases ?? [])];
    return names.filter((name) => name !== undefined).map((name): [string, SettingKey] => [name, key]);
  }),
);

export function givenByFlags(flags: Readonly<Record<string, string | undefined>>): GivenValues {
  return collect('flag', Object.entries(flags), KEY_OF_FLAG, (name) => `--${name}`);
}

export function givenByEnvironment(env: Readonly<Record<string, string | undefined>>): GivenValues {
  const entries = Object.entries(env).filter(
    ([name]) => name.startsWith(VARIABLE_PREFIX) && !OTHER_VARIABLES.has(name),
  );
  return collect('environment', entries, KEY_OF_VARIABLE, (name) => name);
}

/** What a file says, under names of now and of before; and notes on those of before that mean nothing any more. */
export function givenByFile(
  values: ReadonlyMap<string, unknown>,
): GivenValues & { readonly notes: readonly string[] } {
  const notes: string[] = [];
  const refused: Problem[] = [];
  const meaningful = [...values].filter(([name, value]) => {
    const former = formerKey(name);
    if (former === undefined || 'setting' in former) return value !== undefined;
    if ('note' in former) notes.push(`${name} means nothing any more: ${former.note}`);
    else refused.push(outdated(name, former.instead));
    return false;
  });
  const given = collect('file', meaningful, KEY_OF_NAME, (name) => name);
  return { values: given.values, problems: [...refused, ...given.problems], notes };
}

/** The names in a file. */
const KEY_OF_NAME: ReadonlyMap<string, SettingKey> = new Map([
  ...SETTING_KEYS.map((key): [string, SettingKey] => [key, key]),
  ...FORMER_KEY_NAMES.flatMap((name): [string, SettingKey][] => {
    const former = formerKey(name);
    return former !== undefined && 'setting' in former ? [[name, former.setting]] : [];
  }),
]);

function outdated(name: string, instead: string): Problem {
  const text = `${name} is not supported: ${instead}`;
  return { key: name, source: 'file', value: '***', expected: 'not to be there', text };
}

function collect(
  source: Source,
  entries: readonly (readonly [string, unknown])[],
  keyOf: ReadonlyMap<string, SettingKey>,
  nameOf: (name: string) => string,
): GivenValues {
  const values = new Map<SettingKey, Given>();
  const problems: Problem[] = [];
  for (const [name, value] of entries) {
    if (value === undefined) continue;
    const key = keyOf.get(name);
    const other = key === undefined ? undefined : values.get(key);
    if (key === undefined) {
      problems.push(unknownName(source, name, keyOf, nameOf));
      continue;
    }
    const given = { source, value, name: nameOf(name), ...formerValue(source, name) };
    if (other === undefined) values.set(key, given);
    else if (!saySame(key, other, given))
      problems.push(contradiction(key, source, value, [other.name, given.name]));
  }
  return { values, problems };
}

function formerValue(source: Source, name: string): { former?: FormerValue } {
  const former = source === 'file' ? formerKey(name) : undefined;
  return former !== undefined && 'setting' in former && former.value !== undefined
    ? { former: former.value }
    : {};
}

/** The value of a setting in code; `undefined` when what was given is none. */
export function valueOf(key: SettingKey, { value, former }: Given): unknown {
  return settingOf(key).type.read(former === undefined ? value : former.toPresent(value));
}

/** `30s` and 30 seconds are the same, under whatever names. */
function saySame(key: SettingKey, one: Given, other: Given): boolean {
  if (one.former === undefined && other.former === undefined && one.value === other.value) return true;
  const value = valueOf(key, one);
  return value !== undefined && isDeepStrictEqual(value, valueOf(key, other));
}

function unknownName(
  source: Source,
  name: string,
  keyOf: ReadonlyMap<string, SettingKey>,
  nameOf: (name: string) => string,
): Problem {
  const meant = nearest(name, [...keyOf.keys()]);
  const expected = meant === undefined ? 'the name of a setting' : nameOf(meant);
  const hint = meant === undefined ? '' : `; did you mean ${expected}?`;
  // The value is not shown: under a name nobody knows it may be a secret.
  return {
    key: name,
    source,
    value: '***',
    expected,
    text: `unknown setting ${shown(nameOf(name), false)} (${source})${hint}`,
  };
}

function contradiction(key: SettingKey, source: Source, value: unknown, names: readonly string[]): Problem {
  const text = `${names.join(' and ')} mean the same and say different things`;
  return {
    key,
    source,
    value: shown(value, settingOf(key).isSecret === true),
    expected: 'one of them',
    text,
  };
}
