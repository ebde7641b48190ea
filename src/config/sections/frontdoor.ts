import { networkList, originList } from '../list-types.ts';
import { count, decimal, duration, size } from '../number-types.ts';
import type { Settings } from '../setting.ts';

/** Connections that are led to containers. */
export const FRONTDOOR = {
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
    type: duration({ min: 1 }),
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
} as const satisfies Settings;
