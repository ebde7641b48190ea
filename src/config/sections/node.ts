import { defaultDataDir } from '../data-dir.ts';
import { count, duration, integer, port } from '../number-types.ts';
import type { Settings } from '../setting.ts';
import { choice, host, path, text } from '../text-types.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** The node itself: what it listens on, how much it does at once, where it keeps what it has. */
export const NODE = {
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
} as const satisfies Settings;
