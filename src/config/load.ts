import { homedir } from 'node:os';
import type { Surroundings } from './data-dir.ts';
import { givenByEnvironment, givenByFile, givenByFlags, valueOf, type Given } from './given-values.ts';
import { ConfigError, shown, ProblemList, type Source } from './problem.ts';
import { RELATIONS } from './relations.ts';
import type { Setting } from './setting.ts';
import { SETTING_KEYS, settingOf, type Config, type SettingKey } from './settings.ts';
import { readTokenFile } from './token-file.ts';
import { areDistinct } from './token-type.ts';
import { readYamlFile } from './yaml-file.ts';

export interface ConfigInput {
  /** By the flag's name without dashes, such as `queue-size`; those that were not given are left out or `undefined`. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A YAML file; without, the one that `CONTAINER_MANAGER_CONFIG` names, if any. */
  readonly configFile?: string;
  readonly homeDir?: string;
  readonly isRoot?: boolean;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Where each value came from. */
  readonly sources: Readonly<Record<SettingKey, Source>>;
  /** On what the file says that means nothing any more: one sentence each, for the log. */
  readonly notes: readonly string[];
}

/**
 * Reads every setting: flag, else environment, else file, else default. Nothing of it is used unless all of it is
 * right: otherwise fails with one `ConfigError` that tells everything that is wrong.
 */
export function loadConfig(input: ConfigInput): LoadedConfig {
  const surroundings = surroundingsOf(input);
  const problems = new ProblemList();
  const { given, notes } = collectGiven(input, surroundings, problems);
  const values: Partial<Record<SettingKey, unknown>> = {};
  const sources: Partial<Record<SettingKey, Source>> = {};
  for (const key of SETTING_KEYS) {
    const setting = settingOf(key);
    const entry = given.get(key);
    sources[key] = entry?.source ?? 'default';
    values[key] =
      entry === undefined ? defaultOf(setting, surroundings) : readValue(key, setting, entry, problems);
  }
  const config = values as Config;
  const complete = withTokenFile(config, sources as LoadedConfig['sources'], problems);
  checkRelations(complete, sources as LoadedConfig['sources'], problems);
  if (!problems.isEmpty) throw new ConfigError(problems.all);
  return Object.freeze({
    config: Object.freeze(complete),
    sources: Object.freeze(sources) as LoadedConfig['sources'],
    notes: Object.freeze(notes),
  });
}

function surroundingsOf(input: ConfigInput): Surroundings {
  return {
    env: input.env ?? {},
    homeDir: input.homeDir ?? homedir(),
    isRoot: input.isRoot ?? process.getuid?.() === 0,
  };
}

/** What was given for each setting by the strongest source, after the problems of all of them were noted. */
function collectGiven(
  input: ConfigInput,
  { env }: Surroundings,
  problems: ProblemList,
): { readonly given: ReadonlyMap<SettingKey, Given>; readonly notes: readonly string[] } {
  const configFile = input.configFile ?? env['CONTAINER_MANAGER_CONFIG'];
  const file = configFile === undefined ? undefined : readYamlFile(configFile);
  problems.add(...(file?.problems ?? []));
  const byFile = givenByFile(file?.values ?? new Map());
  const merged = new Map<SettingKey, Given>();
  for (const source of [givenByFlags(input.flags ?? {}), givenByEnvironment(env), byFile]) {
    problems.add(...source.problems);
    for (const [key, entry] of source.values) {
      if (!merged.has(key)) merged.set(key, entry);
    }
  }
  return { given: merged, notes: byFile.notes };
}

function defaultOf(setting: Setting, surroundings: Surroundings): unknown {
  return setting.defaultFrom === undefined ? setting.default : setting.defaultFrom.of(surroundings);
}

function readValue(key: SettingKey, setting: Setting, given: Given, problems: ProblemList): unknown {
  const value = valueOf(key, given);
  if (value !== undefined) return value;
  const isEmpty = given.value === '' || given.value === null;
  const isOptional = setting.default === undefined && setting.defaultFrom === undefined;
  if (isEmpty && isOptional) return undefined;
  const ownWords = ownWordsFor(setting, given.value, isEmpty);
  const shownValue = shown(given.value, setting.isSecret === true);
  const expected = given.former?.allowed ?? setting.type.allowed;
  const problem = { key, source: given.source, value: shownValue, expected };
  if (ownWords !== undefined) problems.addFirst({ ...problem, text: ownWords });
  else
    problems.add({ ...problem, text: `${key} ${shownValue} (${given.name}): must be ${problem.expected}` });
  return undefined;
}

function ownWordsFor(setting: Setting, value: unknown, isEmpty: boolean): string | undefined {
  if (isEmpty) return setting.whenEmpty;
  return Number(value) <= 0 ? setting.whenNotPositive : undefined;
}

/** The config with the tokens of `auth.token_file` beside those of `auth.tokens`. */
function withTokenFile(config: Config, sources: LoadedConfig['sources'], problems: ProblemList): Config {
  const file = config['auth.token_file'];
  if (file === undefined) return config;
  const source = sources['auth.token_file'];
  const read = readTokenFile(file, source);
  problems.add(...read.problems);
  const tokens = Object.freeze([...(config['auth.tokens'] ?? []), ...read.tokens]);
  if (!areDistinct(tokens)) {
    const expected = 'each name and each token once';
    const text = `auth.token_file: a name or a token of ${file} occurs twice, there or in auth.tokens`;
    problems.add({ key: 'auth.token_file', source, value: file, expected, text });
  }
  return { ...config, 'auth.tokens': tokens };
}

/** Only where both values are right by themselves: one mistake is told once. */
function checkRelations(config: Config, sources: LoadedConfig['sources'], problems: ProblemList): void {
  if (!problems.isEmpty) return;
  for (const { key, expected, holds, format } of RELATIONS) {
    if (holds(config)) continue;
    problems.add({
      key,
      source: sources[key],
      value: shown(config[key], false),
      expected,
      text: format(config),
    });
  }
}
