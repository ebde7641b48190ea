import { type Controller, IMAGE_ENV } from '../catalog/controller.ts';
import type { InstanceTemplate } from './template.ts';

/** What applies where an entry of the catalog says nothing. Times in ms, memory in bytes. */
export interface TemplateDefaults {
  readonly memory: number;
  readonly cpu: number;
  readonly maxInstances: number;
  readonly maxConnections: number;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** How instances of a controller are made. */
export function templateOf(controller: Controller, defaults: TemplateDefaults): InstanceTemplate {
  const { id, version, image, env, resources, probe, ports, sharing } = controller;
  const { cpu = defaults.cpu, memory = defaults.memory, pids } = resources ?? {};
  return {
    name: id,
    version,
    image,
    imageId: controller.validation?.digest,
    env: { ...IMAGE_ENV, ...env },
    resources: { cpu, memory, ...(pids !== undefined && { pids }) },
    port: ports.internal,
    probePort: probe.tcp,
    hostPort: ports.external,
    sharing,
    maxConnections: controller.max_connections ?? defaults.maxConnections,
    maxInstances: controller.max_instances ?? defaults.maxInstances,
    startTimeoutMs: controller.start_timeout ?? defaults.startTimeoutMs,
    stopTimeoutMs: defaults.stopTimeoutMs,
    idleTimeoutMs: controller.idle_timeout ?? defaults.idleTimeoutMs,
  };
}
