import { duration, integer } from '../number-types.ts';
import type { Settings } from '../setting.ts';

/** How long what has ended is kept. */
export const RETENTION = {
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
} as const satisfies Settings;
