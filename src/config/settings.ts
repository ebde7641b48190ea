import type { SettingType } from './setting-type.ts';
import { AUTH } from './sections/auth.ts';
import { CATALOG } from './sections/catalog.ts';
import { DEFAULTS } from './sections/defaults.ts';
import { DOCKER } from './sections/docker.ts';
import { FRONTDOOR } from './sections/frontdoor.ts';
import { LIMITS } from './sections/limits.ts';
import { NODE } from './sections/node.ts';
import { PEERS } from './sections/peers.ts';
import { POLICY } from './sections/policy.ts';
import { RETENTION } from './sections/retention.ts';
import { TLS } from './sections/tls.ts';
import type { Setting, Settings } from './setting.ts';

/** Every setting there is, section by section in the order of the reference. A new one is an entry of its section and nothing else. */
export const SETTINGS = {
  ...NODE,
  ...DOCKER,
  ...DEFAULTS,
  ...RETENTION,
  ...POLICY,
  ...AUTH,
  ...PEERS,
  ...CATALOG,
  ...FRONTDOOR,
  ...TLS,
  ...LIMITS,
} as const satisfies Settings;

export type SettingKey = keyof typeof SETTINGS;

type ValueOf<Entry> = Entry extends { readonly type: SettingType<infer Value> }
  ? Entry extends { readonly default: unknown } | { readonly defaultFrom: unknown }
    ? Value
    : Value | undefined
  : never;

/** The settings of a running node: durations in ms, sizes in bytes. Read once, frozen, and passed in. */
export type Config = { readonly [Key in SettingKey]: ValueOf<(typeof SETTINGS)[Key]> };

export const SETTING_KEYS = Object.keys(SETTINGS) as readonly SettingKey[];

/** The table's entry without its literal types. */
export function settingOf(key: SettingKey): Setting {
  return SETTINGS[key];
}

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(SETTINGS, key);
}

/** `docker.pull_timeout` is set by `CONTAINER_MANAGER_DOCKER_PULL_TIMEOUT`. */
export function variableOf(key: SettingKey): string {
  return `${VARIABLE_PREFIX}${key.replaceAll('.', '_').toUpperCase()}`;
}

export const VARIABLE_PREFIX = 'CONTAINER_MANAGER_';

/** `docker.pull_timeout` is set by `--docker-pull-timeout`; `undefined` for what has no flag. */
export function flagOf(key: SettingKey): string | undefined {
  return settingOf(key).hasFlag === false ? undefined : key.replaceAll(/[._]/g, '-');
}
