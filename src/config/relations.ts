import { formatDuration } from '../kernel/duration.ts';
import { formatSize } from '../kernel/size.ts';
import type { Config, SettingKey } from './settings.ts';

/** What two settings must be to each other; `text` says it when they are not. */
export interface Relation {
  /** The setting the problem is told of. */
  readonly key: SettingKey;
  readonly expected: string;
  readonly holds: (config: Config) => boolean;
}

type NumberKey = { [Key in SettingKey]: Config[Key] extends number | undefined ? Key : never }[SettingKey];

/** `smaller` may be as much as `larger`, not more. A setting without a value compares with nothing. */
function atMost(smaller: NumberKey, larger: NumberKey, format: (value: number) => string): RelationOf {
  return {
    key: smaller,
    expected: `at most ${larger}`,
    holds: (config) => (config[smaller] ?? 0) <= (config[larger] ?? Number.POSITIVE_INFINITY),
    format: (config) =>
      `${smaller} ${format(config[smaller] ?? 0)} is more than ${larger} ${format(config[larger] ?? 0)}`,
  };
}

type RelationOf = Relation & { readonly format: (config: Config) => string };

export const RELATIONS: readonly RelationOf[] = [
  {
    key: 'tls.key_file',
    expected: 'tls.cert_file and tls.key_file, both or neither',
    holds: (config) => (config['tls.cert_file'] === undefined) === (config['tls.key_file'] === undefined),
    format: () => 'tls.cert_file and tls.key_file are set together or not at all',
  },
  {
    key: 'auth.mode',
    expected: '`tokens` where there are tokens',
    holds: (config) => config['auth.mode'] === 'tokens' || config['auth.tokens'].length === 0,
    format: () => 'auth.mode none would ignore the tokens that are set: leave out one of them',
  },
  atMost('limits.headers_timeout', 'limits.request_timeout', formatDuration),
  atMost('limits.connections_per_address', 'limits.connections', String),
  atMost('docker.pull_inactivity', 'docker.pull_timeout', formatDuration),
  atMost('settle_time', 'defaults.start_timeout', formatDuration),
  atMost('defaults.memory', 'policy.max_memory', formatSize),
  atMost('defaults.cpu', 'policy.max_cpu', String),
  atMost('defaults.pids', 'policy.max_pids', String),
];
