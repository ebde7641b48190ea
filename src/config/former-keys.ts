import { formatDuration } from '../kernel/duration.ts';
import { integer } from './number-types.ts';
import type { SettingKey } from './settings.ts';

/** How a value was written before, where not as it is now. */
export interface FormerValue {
  readonly allowed: string;
  /** The same as it is written now; `undefined` when it is none. */
  toPresent(input: unknown): unknown;
}

/** What became of a key of discon-manager's file. */
export type FormerKey =
  /** Another name of a setting. */
  | { readonly setting: SettingKey; readonly value?: FormerValue }
  /** It means nothing any more, whatever its value; the note says why. */
  | { readonly note: string }
  /** It cannot mean what it meant; `instead` says what to do. Values are never shown. */
  | { readonly instead: string };

/** Ten years, as the longest duration of any setting. */
const MAX_DAYS = 3650;

const inUnits = (unit: string, unitMs: number): FormerValue => {
  const max = (MAX_DAYS * 86_400_000) / unitMs;
  const count = integer({ min: 1, max });
  return {
    allowed: `a whole number of ${unit} from 1 to ${max}`,
    toPresent(input) {
      const value = count.read(input);
      return value === undefined ? undefined : formatDuration(value * unitMs);
    },
  };
};

/** From nothing that need not be known to everything. */
const LEVELS = ['warn', 'info', 'debug'] as const;
const level: FormerValue = {
  allowed: `0 (${LEVELS[0]}), 1 (${LEVELS[1]}) or 2 (${LEVELS[2]})`,
  toPresent(input) {
    const value = integer({ max: LEVELS.length - 1 }).read(input);
    return value === undefined ? undefined : LEVELS[value];
  },
};

const METRICS_NOTE = 'metrics are always there, at /metrics, and measured when they are asked for';
const HEALTH_NOTE = 'the health is known at any time, at /health and /ready';

/** Every key of discon-manager's `config/config.yaml`. Only a file may use them; flags and variables never had them. */
export const FORMER_KEYS = {
  'server.port': { setting: 'port' },
  'server.host': { setting: 'listen_address' },
  'server.debug_level': { setting: 'log_level', value: level },
  'docker.network_name': { setting: 'docker.network' },
  'docker.container_prefix': {
    note: 'the name of a container follows from the id of its job; what is ours is known by its labels',
  },
  'docker.memory_limit': { setting: 'frontdoor.memory' },
  'docker.cpu_limit': { setting: 'frontdoor.cpu' },
  'docker.cleanup_timeout': { setting: 'frontdoor.idle_timeout', value: inUnits('seconds', 1000) },
  'database.path': { setting: 'catalog.file' },
  'controller_discovery.mode': { setting: 'catalog.discovery' },
  'controller_discovery.interval_minutes': {
    setting: 'catalog.discovery_interval',
    value: inUnits('minutes', 60_000),
  },
  'controller_discovery.auto_register': {
    note: 'what is discovered is registered; with catalog.discovery manual only when somebody asks for it',
  },
  'controller_discovery.remove_missing': { setting: 'catalog.remove_missing' },
  'controller_discovery.validation.enabled': { setting: 'catalog.validate' },
  'controller_discovery.validation.verify_symbols': { setting: 'catalog.verify_symbols' },
  'controller_discovery.validation.test_call': { setting: 'catalog.live_test' },
  'health.interval': { note: HEALTH_NOTE },
  'health.timeout': { note: HEALTH_NOTE },
  'metrics.enabled': { note: METRICS_NOTE },
  'metrics.path': { note: METRICS_NOTE },
  'metrics.collection_interval': { note: METRICS_NOTE },
  'auth.enabled': {
    note: 'access is closed by default; auth.mode and auth.tokens say who may use the API, frontdoor.allowed_networks who may connect',
  },
  'auth.username': { note: 'each token has a name: see auth.tokens' },
  'auth.password': {
    instead: 'take it out, and give each user a token of its own: auth.tokens or auth.token_file',
  },
} as const satisfies Readonly<Record<string, FormerKey>>;

export type FormerKeyName = keyof typeof FORMER_KEYS;

export function formerKey(name: string): FormerKey | undefined {
  return Object.hasOwn(FORMER_KEYS, name) ? FORMER_KEYS[name as FormerKeyName] : undefined;
}

export const FORMER_KEY_NAMES = Object.keys(FORMER_KEYS) as readonly FormerKeyName[];
