import { nearest } from '../kernel/nearest.ts';
import { shown, type Problem, type Source } from './problem.ts';
import { flagOf, SETTING_KEYS, settingOf, variableOf, VARIABLE_PREFIX, type SettingKey } from './settings.ts';

/** What somebody gave for a setting, and where. */
export interface Given {
  readonly source: Source;
  readonly value: unknown;
  /** The name it was given under: `--port`, `CONTAINER_MANAGER_PORT`, `port`. */
  readonly name: string;
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

export function givenByFile(values: ReadonlyMap<string, unknown>): GivenValues {
  const keys = new Map(SETTING_KEYS.map((key) => [key as string, key]));
  return collect(
    'file',
    [...values].filter(([, value]) => value !== undefined),
    keys,
    (name) => name,
  );
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
    if (key === undefined) problems.push(unknownName(source, name, keyOf, nameOf));
    else if (other === undefined) values.set(key, { source, value, name: nameOf(name) });
    else if (other.value !== value)
      problems.push(contradiction(key, source, value, [other.name, nameOf(name)]));
  }
  return { values, problems };
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
