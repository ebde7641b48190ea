import type { HealthcheckPlan, InstancePlan } from '../runtime/driver.ts';
import { instanceName } from './instance-name.ts';
import { labelsOf, type InstanceMark } from './instance-labels.ts';
import type { JobSpec } from './spec.ts';

/** What applies where a spec says nothing. 0 as a time limit means none. */
export interface JobDefaults {
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly network: string;
  readonly pull: 'missing' | 'always' | 'never';
  readonly stopTimeoutMs: number;
  readonly queueTimeoutMs: number;
  readonly pullTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly runTimeoutMs: number;
  readonly retryAttempts: number;
  readonly retryBackoffMs: number;
}

/** The one way from a spec to what an engine is asked for, however the job arrived. */
export function planInstance(spec: JobSpec, mark: InstanceMark, defaults: JobDefaults): InstancePlan {
  return {
    name: instanceName(mark.job),
    image: spec.image,
    entrypoint: spec.entrypoint,
    arguments: spec.arguments,
    env: spec.env,
    labels: { ...spec.labels, ...labelsOf(mark) },
    workingDir: spec.working_dir,
    user: spec.user,
    hasCapabilities: spec.drop_capabilities !== true,
    files: spec.read_only === true ? { writable: [] } : 'writable',
    network: spec.network ?? defaults.network,
    ports: spec.ports.map((port) => ({
      containerPort: port.container,
      protocol: port.protocol,
      hostPort: port.host,
      hostAddress: port.address,
    })),
    memoryBytes: spec.resources.memory ?? defaults.memoryBytes,
    cpus: spec.resources.cpu ?? defaults.cpus,
    pids: spec.resources.pids ?? defaults.pids,
    stopSignal: spec.stop_signal,
    healthcheck: planHealthcheck(spec),
  };
}

function planHealthcheck(spec: JobSpec): HealthcheckPlan | undefined {
  const check = spec.healthcheck;
  if (check?.test === undefined) return undefined;
  return {
    command: check.test,
    intervalMs: check.interval,
    timeoutMs: check.timeout,
    startPeriodMs: check.start_period,
    retries: check.retries,
  };
}
