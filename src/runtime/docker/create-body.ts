import { isIP } from 'node:net';
import type { ContainerCreateOptions } from 'dockerode';
import type { HealthcheckPlan, InstancePlan, PortPlan } from '../driver.ts';
import { RuntimeError } from '../errors.ts';
import { parseImageReference } from '../image-reference.ts';

/** The engine keeps that much of an instance's output, the newest. */
const LOG_FILE_SIZE = '10m';
const LOG_FILE_COUNT = '3';

/** Counts as memory of the container. Programs may load libraries from there. */
const TEMPORARY_FILES = 'rw,exec,nosuid,nodev,size=64m,mode=1777';

/** Networks of the engine's own that give away the host's, or join containers that know nothing of each other. */
const REFUSED_NETWORKS: ReadonlySet<string> = new Set(['host', 'default', 'bridge', 'nat', 'ingress']);
const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/**
 * What the engine is asked to make. Built here and nowhere else, field by field from what was checked: nothing of the
 * plan is passed through, so that a field which is not named here cannot arrive.
 */
export function createBody(plan: InstancePlan): ContainerCreateOptions {
  checkNetwork(plan.network);
  return {
    Image: parseImageReference(plan.image).canonical,
    ...(plan.entrypoint === undefined ? {} : { Entrypoint: [...plan.entrypoint] }),
    // With an entrypoint of its own the image's arguments are not meant; without one, none given keeps them.
    ...(plan.arguments.length === 0 && plan.entrypoint === undefined ? {} : { Cmd: [...plan.arguments] }),
    Env: Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
    Labels: { ...plan.labels },
    ...(plan.files === 'writable' ? {} : { Volumes: volumes(plan.files.writable) }),
    ...(plan.workingDir === undefined ? {} : { WorkingDir: plan.workingDir }),
    ...(plan.user === undefined ? {} : { User: plan.user }),
    ...(plan.stopSignal === undefined ? {} : { StopSignal: plan.stopSignal }),
    ...(plan.healthcheck === undefined ? {} : { Healthcheck: healthcheck(plan.healthcheck) }),
    ExposedPorts: Object.fromEntries(plan.ports.map((port) => [portKey(port), {}])),
    Tty: false,
    OpenStdin: false,
    HostConfig: hostConfig(plan),
  };
}

function hostConfig(plan: InstancePlan): NonNullable<ContainerCreateOptions['HostConfig']> {
  return {
    NetworkMode: plan.network,
    PortBindings: portBindings(plan.ports),
    PublishAllPorts: false,
    Memory: plan.memoryBytes,
    // The same: no swap beside it.
    MemorySwap: plan.memoryBytes,
    NanoCpus: Math.round(plan.cpus * 1e9),
    PidsLimit: plan.pids,
    Privileged: false,
    CapDrop: [plan.hasCapabilities ? 'NET_RAW' : 'ALL'],
    ...(plan.files === 'writable' ? {} : { ReadonlyRootfs: true, Tmpfs: { '/tmp': TEMPORARY_FILES } }),
    SecurityOpt: ['no-new-privileges'],
    // Reaps orphans, and hands the stop signal on to programs that, as process 1, would ignore it.
    Init: true,
    // The node decides what runs again, and reads exit codes before it removes anything.
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
    LogConfig: { Type: 'json-file', Config: { 'max-size': LOG_FILE_SIZE, 'max-file': LOG_FILE_COUNT } },
  };
}

/** Anonymous ones: the engine fills them with what the image has there, and removes them with the container. */
function volumes(directories: readonly string[]): Record<string, object> {
  return Object.fromEntries(directories.map((directory) => [directory, {}]));
}

function checkNetwork(network: string): void {
  if (NETWORK_NAME.test(network) && !REFUSED_NETWORKS.has(network)) return;
  throw new RuntimeError(
    'invalid_plan',
    `network ${JSON.stringify(network.slice(0, 128))}: must be the name of a network of its own, or none`,
  );
}

function portBindings(ports: readonly PortPlan[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    // Without an address the engine would publish to everybody.
    if (isIP(port.hostAddress) === 0) {
      throw new RuntimeError(
        'invalid_plan',
        `port address ${JSON.stringify(port.hostAddress)}: must be an IP address`,
      );
    }
    (bindings[portKey(port)] ??= []).push({ HostIp: port.hostAddress, HostPort: String(port.hostPort) });
  }
  return bindings;
}

function portKey(port: PortPlan): string {
  return `${port.containerPort}/${port.protocol}`;
}

const NANOSECONDS_PER_MS = 1_000_000;
/** The engine takes no shorter times, and reads 0 as its default. */
const MIN_HEALTHCHECK_MS = 1;

function healthcheck(plan: HealthcheckPlan): NonNullable<ContainerCreateOptions['Healthcheck']> {
  return {
    Test: ['CMD', ...plan.command],
    Interval: Math.max(MIN_HEALTHCHECK_MS, plan.intervalMs) * NANOSECONDS_PER_MS,
    Timeout: Math.max(MIN_HEALTHCHECK_MS, plan.timeoutMs) * NANOSECONDS_PER_MS,
    StartPeriod: plan.startPeriodMs * NANOSECONDS_PER_MS,
    Retries: plan.retries,
  };
}
