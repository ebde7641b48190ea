import { isAllowedRegistry, parseImageReference, type ImageReference } from '../runtime/image-reference.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { JobError } from './errors.ts';
import type { JobSpec } from './spec.ts';

/** What the configuration lets a job ask for. Deny by default. */
export interface JobPolicy {
  /** Networks a job may name. */
  readonly networks: readonly string[];
  /** Host addresses a port may be published on. */
  readonly publishAddresses: readonly string[];
  /** Registries an image may come from; empty: any with a public name. */
  readonly registries: readonly string[];
  readonly maxMemoryBytes: number | undefined;
  readonly maxCpus: number | undefined;
  readonly maxPids: number;
}

/** Throws `invalid_spec` for an image reference that is none, and `policy_denied` for what is not allowed. */
export function checkPolicy(spec: JobSpec, policy: JobPolicy): void {
  checkImage(spec.image, policy);
  if (spec.network !== undefined && !policy.networks.includes(spec.network)) {
    throw denied('network', spec.network, policy.networks, 'policy.networks');
  }
  for (const port of spec.ports) {
    if (policy.publishAddresses.includes(port.address)) continue;
    throw denied('ports.address', port.address, policy.publishAddresses, 'policy.publish_addresses');
  }
  const { memory, cpu, pids } = spec.resources;
  if (memory !== undefined && memory > (policy.maxMemoryBytes ?? Number.POSITIVE_INFINITY)) {
    throw denied('resources.memory', memory, [`up to ${policy.maxMemoryBytes} bytes`], 'policy.max_memory');
  }
  if (cpu !== undefined && cpu > (policy.maxCpus ?? Number.POSITIVE_INFINITY)) {
    throw denied('resources.cpu', cpu, [`up to ${policy.maxCpus}`], 'policy.max_cpu');
  }
  if (pids !== undefined && pids > policy.maxPids) {
    throw denied('resources.pids', pids, [`up to ${policy.maxPids}`], 'policy.max_pids');
  }
}

function checkImage(image: string, policy: JobPolicy): void {
  let reference: ImageReference;
  try {
    reference = parseImageReference(image);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new JobError('invalid_spec', error.message, {
      cause: error,
      details: { field: 'image', value: image },
    });
  }
  if (!isAllowedRegistry(reference, policy.registries)) {
    const allowed = policy.registries.length === 0 ? ['any registry with a public name'] : policy.registries;
    throw denied('image', image, allowed, 'policy.registries');
  }
}

function denied(field: string, value: unknown, allowed: readonly string[], setting: string): JobError {
  const list = allowed.length === 0 ? 'none' : allowed.join(', ');
  return new JobError(
    'policy_denied',
    `${field} ${JSON.stringify(value)} is not allowed (${setting} allows: ${list})`,
    {
      details: { field, value, setting, allowed },
    },
  );
}
