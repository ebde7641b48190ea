import { describe, expect, it } from 'vitest';
import { createBody } from '../../../../src/runtime/docker/create-body.ts';
import type { InstancePlan } from '../../../../src/runtime/driver.ts';

const PLAN: InstancePlan = {
  name: 'job',
  image: 'app',
  entrypoint: undefined,
  arguments: ['serve', '--port=80'],
  env: { A: '1', B: 'x=y' },
  labels: { team: 'blue' },
  workingDir: '/srv',
  user: '1000:1000',
  network: 'container-manager',
  ports: [
    { containerPort: 80, protocol: 'tcp', hostPort: 0, hostAddress: '127.0.0.1' },
    { containerPort: 80, protocol: 'tcp', hostPort: 8080, hostAddress: '::1' },
    { containerPort: 53, protocol: 'udp', hostPort: 53, hostAddress: '127.0.0.1' },
  ],
  hasCapabilities: true,
  files: 'writable',
  memoryBytes: 512 * 1024 ** 2,
  cpus: 1.5,
  pids: 256,
  stopSignal: 'SIGINT',
  healthcheck: { command: ['check', 'me'], intervalMs: 5000, timeoutMs: 0, startPeriodMs: 0, retries: 3 },
};

const GOLDEN = {
  Image: 'docker.io/library/app:latest',
  Cmd: ['serve', '--port=80'],
  Env: ['A=1', 'B=x=y'],
  Labels: { team: 'blue' },
  WorkingDir: '/srv',
  User: '1000:1000',
  StopSignal: 'SIGINT',
  Healthcheck: {
    Test: ['CMD', 'check', 'me'],
    Interval: 5_000_000_000,
    Timeout: 1_000_000,
    StartPeriod: 0,
    Retries: 3,
  },
  ExposedPorts: { '80/tcp': {}, '53/udp': {} },
  Tty: false,
  OpenStdin: false,
  HostConfig: {
    NetworkMode: 'container-manager',
    PortBindings: {
      '80/tcp': [
        { HostIp: '127.0.0.1', HostPort: '0' },
        { HostIp: '::1', HostPort: '8080' },
      ],
      '53/udp': [{ HostIp: '127.0.0.1', HostPort: '53' }],
    },
    PublishAllPorts: false,
    Memory: 536_870_912,
    MemorySwap: 536_870_912,
    NanoCpus: 1_500_000_000,
    PidsLimit: 256,
    Privileged: false,
    CapDrop: ['NET_RAW'],
    SecurityOpt: ['no-new-privileges'],
    Init: true,
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
    LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
  },
};

/** Every field of the engine's HostConfig and Resources, and those of its container config that reach the host. */
const HOST_FIELDS =
  `AutoRemove Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps
  BlkioWeight BlkioWeightDevice CapAdd CapDrop Capabilities Cgroup CgroupParent CgroupnsMode ConsoleSize
  ContainerIDFile CpuCount CpuPercent CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus
  CpusetMems DeviceCgroupRules DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd IOMaximumBandwidth
  IOMaximumIOps Init IpcMode Isolation KernelMemory KernelMemoryTCP Links LogConfig MaskedPaths Memory
  MemoryReservation MemorySwap MemorySwappiness Mounts NanoCpus NetworkMode OomKillDisable OomScoreAdj PidMode
  PidsLimit PortBindings Privileged PublishAllPorts ReadonlyPaths ReadonlyRootfs RestartPolicy Runtime SecurityOpt
  ShmSize StorageOpt Sysctls Tmpfs UTSMode Ulimits UsernsMode VolumeDriver VolumesFrom
  Annotations Hostname Domainname MacAddress NetworkDisabled NetworkingConfig OnBuild Shell Volumes`.split(
    /\s+/,
  );

const HOSTILE_VALUES: unknown[] = [true, 'host', ['/:/host'], { '/': {} }, -1];

describe('createBody', () => {
  it('builds the whole body out of the plan', () => {
    expect(createBody(PLAN)).toEqual(GOLDEN);
  });

  it('A9: knows every field that reaches the host', () => {
    expect(HOST_FIELDS.length).toBeGreaterThanOrEqual(69);
  });

  const inject = (name: string, value: unknown): [where: string, plan: InstancePlan][] => [
    ['at the root', { ...PLAN, [name]: value }],
    ['in HostConfig', { ...PLAN, HostConfig: { [name]: value } } as InstancePlan],
    ['in a port', { ...PLAN, ports: PLAN.ports.map((port) => ({ ...port, [name]: value })) }],
    ['in the healthcheck', { ...PLAN, healthcheck: { ...PLAN.healthcheck, [name]: value } } as InstancePlan],
    ['in the prototype', Object.assign(Object.create({ [name]: value }) as object, PLAN) as InstancePlan],
  ];

  it.each(HOST_FIELDS)('A9: a plan that carries %s gives the very same bytes', (name) => {
    const golden = JSON.stringify(createBody(PLAN));
    for (const value of HOSTILE_VALUES) {
      for (const [where, plan] of inject(name, value))
        expect(JSON.stringify(createBody(plan)), where).toBe(golden);
      const lowerCase = name.slice(0, 1).toLowerCase() + name.slice(1);
      for (const [where, plan] of lowerCase in PLAN ? [] : inject(lowerCase, value)) {
        expect(JSON.stringify(createBody(plan)), where).toBe(golden);
      }
    }
  });

  it.each(['host', 'bridge', 'default', 'ingress', 'container:abc', '../x', '', 'a/b'])(
    'A9: refuses the network %j',
    (network) => expect(() => createBody({ ...PLAN, network })).toThrow(/network/),
  );

  it.each(['', 'localhost', '0x7f.1', '127.0.0.1:80'])('refuses to publish at %j', (hostAddress) => {
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 0, hostAddress }] as const;
    expect(() => createBody({ ...PLAN, ports })).toThrow(/address/);
  });

  it("keeps the image's own command where the plan has none", () => {
    const bare = createBody({
      ...PLAN,
      arguments: [],
      workingDir: undefined,
      user: undefined,
      healthcheck: undefined,
    });
    for (const name of ['Cmd', 'Entrypoint', 'WorkingDir', 'User', 'Healthcheck'])
      expect(bare).not.toHaveProperty(name);
    expect(createBody({ ...PLAN, arguments: [], entrypoint: ['run'] })).toMatchObject({
      Entrypoint: ['run'],
      Cmd: [],
    });
  });
});
