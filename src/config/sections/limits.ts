import { count, duration, integer, size } from '../number-types.ts';
import type { Settings } from '../setting.ts';

/** What one request, and all together, may take. */
export const LIMITS = {
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
} as const satisfies Settings;
