import { defaultDataDir, type Surroundings } from './data-dir.ts';
import {
  addressList,
  hostList,
  multiaddrList,
  nameList,
  networkList,
  originList,
  peerIdList,
  registryList,
} from './list-types.ts';
import { decimal, duration, integer, port, size } from './number-types.ts';
import type { SettingType } from './setting-type.ts';
import { boolean, choice, host, path, text } from './text-types.ts';
import { tokenList } from './token-type.ts';

/** One setting. Its key is its place in `SETTINGS`; the names of its flag and its variable follow from the key. */
export interface Setting {
  readonly type: SettingType<unknown>;
  /** The value in code. Left out: the setting may have no value. */
  readonly default?: unknown;
  /** A default that depends on the machine, with what it says in words. */
  readonly defaultFrom?: { readonly text: string; readonly of: (surroundings: Surroundings) => unknown };
  /** One line for `--help` and the reference. */
  readonly text: string;
  /** Never shown. */
  readonly isSecret?: true;
  /** Whether there is a flag; `false` for what must not be seen in a list of processes. */
  readonly hasFlag?: false;
  /** Further flags of the same meaning. */
  readonly aliases?: readonly string[];
  /** What an empty text is answered, and a number that is not above 0; without, what is allowed is said. */
  readonly whenEmpty?: string;
  readonly whenNotPositive?: string;
}

const POSITIVE = { min: 1 } as const;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** A million: far above what one host runs, and low enough that a count cannot eat the memory. */
const MAX_COUNT = 1_000_000;
const count = (min: number, unit: string): SettingType<number> => integer({ min, max: MAX_COUNT, unit });

/** Every setting there is. A new one is an entry here and nothing else. */
export const SETTINGS = {
  listen_address: {
    type: host(),
    default: '0.0.0.0',
    text: 'the address to listen on',
    whenEmpty: 'listen address is required',
  },
  port: {
    type: port(),
    default: 8080,
    text: 'the port to listen on',
    aliases: ['jrpc-port'],
    whenEmpty: 'jrpc-port is required',
  },
  queue_size: {
    type: count(1, 'jobs'),
    default: 100,
    text: 'the size of the job queue',
    whenNotPositive: 'queue size must be greater than 0',
  },
  worker_count: {
    type: integer({ min: 1, max: 1000, unit: 'workers' }),
    default: 10,
    text: 'the number of workers to run',
    whenNotPositive: 'worker count must be greater than 0',
  },
  log_level: {
    type: choice(LOG_LEVELS),
    default: 'info',
    text: 'log level',
    whenEmpty: 'log level is required',
  },
  data_dir: {
    type: path(),
    defaultFrom: {
      text: '`/var/lib/container-manager` for root, else `container-manager` in `$XDG_DATA_HOME` or `~/.local/share`',
      of: defaultDataDir,
    },
    text: 'where the node keeps its store and its keys',
  },
  p2p_port: {
    type: port(),
    default: 4001,
    text: 'the port peers connect to',
    whenEmpty: 'p2p-port is required',
  },
  join: {
    type: text('a token as `cluster token` prints it', /^\S{1,8192}$/),
    text: 'a token of the cluster to join, from `cluster token` on one of its nodes; it holds the cluster key: in the environment it is seen by nobody else',
    isSecret: true,
  },
  cluster_key_file: {
    type: path(),
    text: 'the key of the cluster, where several nodes share one file; made by the first of them. Unset: `cluster.key` in the data dir',
  },
  max_running: {
    type: count(0, 'containers'),
    default: 0,
    text: 'how many containers may run at once; 0: as many as are asked for',
  },
  grace_period: {
    type: duration(),
    default: 20_000,
    text: 'how long a shutdown waits for work in hand',
  },
  reconcile_interval: {
    type: duration({ min: 100 }),
    default: 10_000,
    text: 'how often the jobs are compared with what the engine really runs',
  },
  reap_grace: {
    type: duration(),
    default: 30_000,
    text: 'how long a leftover container of ours is left alone before it is removed',
  },
  settle_time: {
    type: duration(),
    default: 0,
    text: 'how long a container without a probe must stay up before it counts as running',
  },

  'docker.host': {
    type: text(
      'a socket or an address such as `unix:///var/run/docker.sock`',
      /^(?:unix|tcp|http|https):\/\/.{1,4000}$/,
    ),
    text: 'the Docker Engine to use; unset: `DOCKER_HOST`, else the usual sockets',
  },
  'docker.call_timeout': {
    type: duration({ min: 100 }),
    default: 60_000,
    text: 'how long one call to the engine may take',
  },
  'docker.network': {
    type: text('the name of a network', /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/),
    default: 'container-manager',
    text: 'the network containers are attached to; made when it is missing',
  },
  'docker.pull': {
    type: choice(['missing', 'always', 'never']),
    default: 'missing',
    text: 'when an image is pulled, where a job does not say it',
  },
  'docker.pull_timeout': {
    type: duration(POSITIVE),
    default: 300_000,
    text: 'how long a pull may take, where a job does not say it',
  },
  'docker.pull_inactivity': {
    type: duration(POSITIVE),
    default: 120_000,
    text: 'how long a pull may bring nothing new before it is given up',
  },

  'defaults.memory': {
    type: size({ min: 6 * 1024 ** 2 }),
    default: 512 * 1024 ** 2,
    text: 'memory of a container whose job does not say it',
  },
  'defaults.cpu': {
    type: decimal({ min: 0.01, max: 1024, unit: 'CPUs' }),
    default: 1,
    text: 'CPUs of a container whose job does not say it',
  },
  'defaults.pids': {
    type: count(1, 'processes'),
    default: 256,
    text: 'processes and threads of a container whose job does not say it',
  },
  'defaults.stop_timeout': {
    type: duration(),
    default: 10_000,
    text: 'how long a container may take to stop before it is killed',
  },
  'defaults.start_timeout': {
    type: duration(POSITIVE),
    default: 60_000,
    text: 'how long a container may take to become ready',
  },
  'defaults.queue_timeout': {
    type: duration(),
    default: 0,
    text: 'how long a job may wait for a worker; 0: without limit',
  },
  'defaults.run_timeout': {
    type: duration(),
    default: 0,
    text: 'how long a container may run; 0: without limit',
  },
  'defaults.retry_attempts': {
    type: integer({ min: 1, max: 100, unit: 'attempts' }),
    default: 3,
    text: 'how often deploying a job is tried',
  },
  'defaults.retry_backoff': {
    type: duration(POSITIVE),
    default: 1000,
    text: 'pause before the second attempt; it doubles with each further one',
  },

  'retention.count': {
    type: integer({ min: 0, max: 10_000_000, unit: 'jobs' }),
    default: 10_000,
    text: 'how many ended jobs are kept',
  },
  'retention.age': {
    type: duration(),
    default: 7 * 86_400_000,
    text: 'how long an ended job is kept',
  },
  'retention.tombstones': {
    type: duration(),
    default: 7 * 86_400_000,
    text: 'how long a removed job, and its idempotency key, is remembered',
  },

  'policy.networks': {
    type: nameList(),
    default: [],
    text: 'networks a job may name, besides the default one and `none`',
  },
  'policy.publish_addresses': {
    type: addressList(),
    default: ['127.0.0.1'],
    text: 'host addresses a job may publish ports on',
  },
  'policy.max_memory': {
    type: size({ min: 6 * 1024 ** 2 }),
    text: 'most memory a job may ask for; unset: without limit',
  },
  'policy.max_cpu': {
    type: decimal({ min: 0.01, max: 1024, unit: 'CPUs' }),
    text: 'most CPUs a job may ask for; unset: without limit',
  },
  'policy.max_pids': {
    type: count(1, 'processes'),
    default: 4096,
    text: 'most processes and threads a job may ask for',
  },
  'policy.registries': {
    type: registryList(),
    default: [],
    text: 'registries images may come from; empty: any with a public name',
  },

  'auth.mode': {
    type: choice(['tokens', 'none']),
    default: 'tokens',
    text: '`tokens`: without a token only this host is served; `none`: everybody is, with full rights over the engine',
  },
  'auth.tokens': {
    type: tokenList(),
    default: [],
    text: 'who may use the API from elsewhere; no flag, because other users can read those',
    isSecret: true,
    hasFlag: false,
  },
  'auth.token_file': {
    type: path(),
    text: 'a file with further tokens, one `NAME SCOPE TOKEN` per line, which no other user may read',
  },
  'auth.trusted_networks': {
    type: networkList(),
    default: [],
    text: 'networks whose clients are served as those on this host are',
  },
  'auth.allowed_hosts': {
    type: hostList(),
    default: [],
    text: 'names this node goes by in `Host`, besides addresses and `localhost`',
  },
  'auth.allowed_origins': {
    type: originList(),
    default: [],
    text: 'origins of web pages that may use the API',
  },

  'peers.enabled': {
    type: boolean(),
    default: true,
    text: 'whether this node takes part in a cluster; if not, nothing listens on `p2p_port`',
  },
  'peers.listen_address': {
    type: host(),
    text: 'the address peers connect to; unset: `listen_address`',
  },
  'peers.announce': {
    type: multiaddrList(),
    default: [],
    text: 'addresses this node is reached at by its peers, where they are not those it listens on',
  },
  'peers.bootstrap': {
    type: multiaddrList(),
    default: [],
    text: 'peers to connect to at the start, besides those that are known or found',
  },
  'peers.mdns': {
    type: boolean(),
    default: true,
    text: 'whether peers are looked for on the local network',
  },
  'peers.allow': {
    type: peerIdList(),
    default: [],
    text: 'ids of the only nodes that may be peers; empty: whoever has the cluster key',
  },
  'peers.max_connections': {
    type: integer({ min: 2, max: 1024, unit: 'connections' }),
    default: 64,
    text: 'most connections with peers at once',
  },

  'catalog.file': {
    type: path(),
    text: 'the database of controllers, a JSON file that may be edited by hand; unset: `controllers.json` in the data dir',
  },
  'catalog.discovery': {
    type: choice(['startup', 'periodic', 'manual']),
    default: 'startup',
    text: 'when images are looked through for controllers: once at the start, then again and again, or only on request',
  },
  'catalog.discovery_interval': {
    type: duration({ min: 1000 }),
    default: 30 * 60_000,
    text: 'how often images are looked through with `catalog.discovery` periodic',
  },
  'catalog.follow_images': {
    type: boolean(),
    default: true,
    text: 'whether an image that comes, goes or changes is looked at as soon as the engine tells, unless discovery is manual',
  },
  'catalog.remove_missing': {
    type: boolean(),
    default: false,
    text: 'whether a controller that was discovered goes with its image; those made by hand never do',
  },
  'catalog.validate': {
    type: boolean(),
    default: true,
    text: 'whether the library of a controller is looked at before it is served',
  },
  'catalog.verify_symbols': {
    type: boolean(),
    default: true,
    text: 'whether a library without its procedure makes a controller invalid',
  },
  'catalog.live_test': {
    type: boolean(),
    default: false,
    text: 'whether a controller is also started once, locked up, and called, before it is served',
  },

  'frontdoor.allowed_networks': {
    type: networkList(),
    default: [],
    text: 'networks whose clients are led to containers without a token; those of this host always are',
  },
  'frontdoor.allowed_origins': {
    type: originList(),
    default: [],
    text: 'origins of web pages that may connect; programs that are no browsers send none',
  },
  'frontdoor.max_sessions': {
    type: count(1, 'connections'),
    default: 1000,
    text: 'most connections that are led to containers at once, those that wait included',
  },
  'frontdoor.max_silence': {
    type: duration(),
    default: 0,
    text: 'how long nothing may pass on a connection before it is ended; 0: for ever, as long as its client is there',
  },
  'frontdoor.stall_timeout': {
    type: duration(),
    default: 30_000,
    text: 'how long a client or a container may take nothing of what waits for it before the connection is given up; 0: for as long as TCP tries',
  },
  'frontdoor.max_instances': {
    type: count(1, 'containers'),
    default: 100,
    text: 'most containers for connections at once, on this node; further clients wait',
  },
  'frontdoor.max_waiting': {
    type: count(0, 'clients'),
    default: 256,
    text: 'how many clients may wait for a container to become free; one more is told to come again',
  },
  'frontdoor.start_timeout': {
    type: duration({ min: 100 }),
    default: 30_000,
    text: 'how long a client may wait for its container to run; stock clients give up after 45s, the handshake included',
  },
  'frontdoor.handshake_timeout': {
    type: duration({ min: 100 }),
    default: 10_000,
    text: 'how long a container may take to answer a connection',
  },
  'frontdoor.stop_timeout': {
    type: duration(),
    default: 10_000,
    text: 'how long a container may take to stop after its connection has ended',
  },
  'frontdoor.idle_timeout': {
    type: duration(POSITIVE),
    default: 30_000,
    text: 'how long a shared container stays without a connection',
  },
  'frontdoor.max_connections': {
    type: count(1, 'connections'),
    default: 100,
    text: 'connections that one shared container takes, where its controller does not say it',
  },
  'frontdoor.memory': {
    type: size({ min: 6 * 1024 ** 2 }),
    default: 512 * 1024 ** 2,
    text: 'memory of a container for connections, where its controller does not say it',
  },
  'frontdoor.cpu': {
    type: decimal({ min: 0.01, max: 1024, unit: 'CPUs' }),
    default: 1,
    text: 'CPUs of a container for connections, where its controller does not say it',
  },

  'tls.cert_file': {
    type: path(),
    text: 'certificate chain in PEM; with `tls.key_file` the API is served over TLS',
  },
  'tls.key_file': { type: path(), text: 'private key of `tls.cert_file` in PEM' },

  'limits.body': {
    type: size({ min: 1024, max: 64 * 1024 ** 2 }),
    default: 1024 ** 2,
    text: 'longest body of a request',
  },
  'limits.batch': {
    type: integer({ min: 1, max: 10_000, unit: 'calls' }),
    default: 100,
    text: 'most calls in one JSON-RPC batch',
  },
  'limits.nesting': {
    type: integer({ min: 4, max: 1000, unit: 'levels' }),
    default: 64,
    text: 'deepest nesting of objects and lists in a request',
  },
  'limits.headers': {
    type: size({ min: 1024, max: 1024 ** 2 }),
    default: 16 * 1024,
    text: 'all header lines of a request together',
  },
  'limits.header_count': {
    type: integer({ min: 10, max: 2000, unit: 'lines' }),
    default: 100,
    text: 'most header lines of a request',
  },
  'limits.url': { type: size({ min: 256, max: 64 * 1024 }), default: 4096, text: 'longest URL' },
  'limits.connections': { type: count(1, 'connections'), default: 2000, text: 'most connections at once' },
  'limits.connections_per_address': {
    type: count(1, 'connections'),
    default: 64,
    text: 'most connections at once from one address (one /64 for IPv6); this host is not counted',
  },
  'limits.headers_timeout': {
    type: duration({ min: 100 }),
    default: 5000,
    text: 'how long the head of a request may take to arrive',
  },
  'limits.request_timeout': {
    type: duration({ min: 100 }),
    default: 10_000,
    text: 'how long a whole request may take to arrive',
  },
  'limits.keep_alive': {
    type: duration({ min: 1 }),
    default: 5000,
    text: 'how long a connection without requests is kept',
  },
  'limits.wait': {
    type: duration({ min: 100 }),
    default: 600_000,
    text: 'longest `wait_ms` or `timeout_ms` of a request',
  },
  'limits.streams': { type: count(1, 'streams'), default: 256, text: 'most log and event streams at once' },
} as const satisfies Readonly<Record<string, Setting>>;

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
