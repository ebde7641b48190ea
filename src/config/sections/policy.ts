import { addressList, nameList, registryList } from '../list-types.ts';
import { count, decimal, size } from '../number-types.ts';
import type { Settings } from '../setting.ts';

/** What jobs may ask for. */
export const POLICY = {
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
} as const satisfies Settings;
