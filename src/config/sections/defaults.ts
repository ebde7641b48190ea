import { count, decimal, duration, integer, size } from '../number-types.ts';
import type { Settings } from '../setting.ts';

/** What holds for a job that does not say it. */
export const DEFAULTS = {
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
    type: duration({ min: 1 }),
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
    type: duration({ min: 1 }),
    default: 1000,
    text: 'pause before the second attempt; it doubles with each further one',
  },
} as const satisfies Settings;
