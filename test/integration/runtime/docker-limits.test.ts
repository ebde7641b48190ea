import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceId } from '../../../src/kernel/ids.ts';
import type { InstancePlan, InstanceView } from '../../../src/runtime/driver.ts';
import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import { DockerRun } from '../../support/docker.ts';
import { PATIENCE } from '../../support/patience.ts';

const MIB = 1024 ** 2;
let run: DockerRun;
let driver: DockerDriver;

beforeAll(async () => {
  run = await DockerRun.start();
  driver = new DockerDriver();
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
  await run[Symbol.asyncDispose]();
});

/** Runs a script to its end, and gives what it wrote. */
async function runScript(
  script: string,
  changes: Partial<InstancePlan> = {},
): Promise<{ output: string; view: InstanceView }> {
  const id = await driver.create(run.plan({ arguments: ['sh', '-c', script], ...changes }));
  await driver.start(id);
  let output = '';
  for await (const { data } of driver.logs(id, { follow: true })) output += data.toString();
  const view = await expect
    .poll(() => driver.inspect(id), PATIENCE)
    .toMatchObject({ state: 'exited' })
    .then(() => driver.inspect(id));
  if (view === undefined) throw new Error('it is gone');
  return { output, view };
}

describe('A10: a container the driver made', () => {
  it('has every limit, as the engine tells', async () => {
    const id = await driver.create(
      run.plan({ memoryBytes: 100 * MIB, cpus: 0.5, pids: 50, network: run.network }),
    );
    const { HostConfig, Config } = await run.docker.getContainer(id).inspect();
    expect(HostConfig).toMatchObject({
      Memory: 100 * MIB,
      MemorySwap: 100 * MIB,
      NanoCpus: 500_000_000,
      PidsLimit: 50,
      CapDrop: ['NET_RAW'],
      ReadonlyRootfs: false,
      SecurityOpt: ['no-new-privileges'],
      Init: true,
      Privileged: false,
      AutoRemove: false,
      PublishAllPorts: false,
      NetworkMode: run.network,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    });
    for (const name of [
      'Binds',
      'Devices',
      'CapAdd',
      'VolumesFrom',
      'DeviceRequests',
      'Sysctls',
      'ExtraHosts',
    ] as const) {
      expect((HostConfig as Record<string, unknown>)[name] ?? [], name).toHaveLength(0);
    }
    for (const name of ['PidMode', 'UTSMode', 'UsernsMode'] as const) {
      expect((HostConfig as unknown as Record<string, unknown>)[name], name).toBe('');
    }
    expect(HostConfig.IpcMode).toBe('private');
    expect(Config.Tty).toBe(false);
  });

  it('cannot start more processes than it may', async () => {
    const bomb = 'i=0; while [ $i -lt 100 ]; do sleep 600 & i=$((i+1)); done';
    const id = await driver.create(
      run.plan({ arguments: ['sh', '-c', `(${bomb}); exec sleep 600`], pids: 20 }),
    );
    await driver.start(id);
    const errors = async (): Promise<string> => {
      let text = '';
      for await (const { stream, data } of driver.logs(id, {}))
        if (stream === 'stderr') text += data.toString();
      return text;
    };
    await expect.poll(errors, { timeout: 40_000 }).toMatch(/can't fork/);
    const pids = (await driver.stats(id))?.pids;
    // The shell that could not fork any more has ended meanwhile.
    expect(pids).toBeGreaterThanOrEqual(18);
    expect(pids).toBeLessThanOrEqual(20);
  });

  it('cannot write the kernel settings, and gains no privileges', async () => {
    const { output } = await runScript(
      'echo 1 > /proc/sys/kernel/hostname || echo refused; cat /proc/self/status; id -u',
    );
    expect(output).toContain('refused');
    expect(output).toMatch(/NoNewPrivs:\s*1/);
    expect(output).toMatch(/Seccomp:\s*2/);
    const effective = BigInt(`0x${/CapEff:\s*([0-9a-f]+)/.exec(output)?.[1] ?? 'f'.repeat(16)}`);
    const NET_RAW = 13n;
    const SYS_ADMIN = 21n;
    expect((effective >> NET_RAW) & 1n).toBe(0n);
    expect((effective >> SYS_ADMIN) & 1n).toBe(0n);
  });

  it('has no capability at all, and writes no file but temporary ones, where it may not', async () => {
    const files = { writable: ['/etc'] };
    const { output } = await runScript(
      'cat /proc/self/status; for d in / /tmp /etc; do echo x > $d/new && echo "wrote $d"; done; ls /etc',
      { hasCapabilities: false, files },
    );
    expect(output).toMatch(/CapEff:\s*0{16}\nCapBnd:\s*0{16}/);
    expect(output.match(/wrote .*/g)).toEqual(['wrote /tmp', 'wrote /etc']);
    // What the image has there is there.
    expect(output).toContain('passwd');
  });

  it('is killed when it takes more memory than it may, and that is told', async () => {
    // The engine hears of it on another way than of an exit: the container outlives what was killed by a moment.
    const script = '(x=a; while true; do x=$x$x; done); code=$?; sleep 2; exit $code';
    const { view } = await runScript(script, { memoryBytes: 16 * MIB });
    expect(view.exit).toMatchObject({ exitCode: 137, oomKilled: true, signal: 'SIGKILL' });
  });

  it('ends at once with 127 where its command does not exist', async () => {
    const id = await driver.create(run.plan({ arguments: ['no-such-command'] }));
    await driver.start(id);
    await expect
      .poll(() => driver.inspect(id), PATIENCE)
      .toMatchObject({ state: 'exited', exit: { exitCode: 127 } });
  });
});

describe('networks and ports', () => {
  it('makes the network that a plan names, once, without traffic between its containers', async () => {
    const ids = await Promise.all(
      Array.from({ length: 4 }, () => driver.create(run.plan({ network: run.network }))),
    );
    const networks = await run.docker.listNetworks({ filters: { name: [run.network] } });
    expect(networks).toHaveLength(1);
    expect(networks[0]?.Options).toMatchObject({ 'com.docker.network.bridge.enable_icc': 'false' });
    expect(networks[0]?.Labels).toMatchObject({ 'container-manager.network': 'true' });
    await Promise.all(ids.map((id) => driver.remove(id)));
  });

  it('makes it again when it was removed behind its back', async () => {
    const plan = run.plan({ network: run.network });
    const before = await driver.create(plan);
    await run.docker.getNetwork(run.network).remove();
    await driver.start(before);
    const view = await driver.inspect(before);
    expect(view).toMatchObject({
      state: 'running',
      address: expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/) as string,
    });
    await driver.remove(before);
  });

  it('publishes a port where it was told to, and says which one it became', async () => {
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 0, hostAddress: '127.0.0.1' }] as const;
    const script = 'echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp';
    const id = await driver.create(
      run.plan({ arguments: ['sh', '-c', script], network: run.network, ports }),
    );
    await driver.start(id);
    const [port] = (await driver.inspect(id))?.ports ?? [];
    expect(port).toMatchObject({ containerPort: 80, protocol: 'tcp', hostAddress: '127.0.0.1' });
    const get = (): Promise<string> =>
      fetch(`http://127.0.0.1:${port?.hostPort}/`).then((reply) => reply.text());
    await expect.poll(() => get().catch(() => ''), { timeout: 40_000 }).toBe('hello\n');
    const second = await driver.create(
      run.plan({ network: run.network, ports: [{ ...ports[0], hostPort: port?.hostPort ?? 0 }] }),
    );
    await expect(driver.start(second)).rejects.toMatchObject({ code: 'port_in_use', retryable: true });
  });

  it('tells the health that the engine finds', async () => {
    const healthcheck = {
      command: ['cat', '/tmp/ok'],
      intervalMs: 200,
      timeoutMs: 1000,
      startPeriodMs: 0,
      retries: 1,
    };
    const id: InstanceId = await driver.create(
      run.plan({ arguments: ['sh', '-c', 'echo > /tmp/ok; exec sleep 600'], healthcheck }),
    );
    await driver.start(id);
    await expect.poll(async () => (await driver.inspect(id))?.health, { timeout: 40_000 }).toBe('healthy');
  });
});
