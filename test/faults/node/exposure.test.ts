import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type Docker from 'dockerode';
import { expect, test } from 'vitest';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';

/**
 * The addresses by which a container might reach this host: its network's gateway, and those of the interfaces that every host has.
 * Those of other networks come and go while it tries them, and what is sent to one that has gone leaves this machine.
 */
async function hostAddresses(docker: Docker, network: string): Promise<string[]> {
  const { IPAM } = (await docker.getNetwork(network).inspect()) as {
    IPAM: { Config: { Gateway?: string }[] };
  };
  const gateways = IPAM.Config.flatMap(({ Gateway }) => (Gateway === undefined ? [] : [Gateway]));
  const interfaces = networkInterfaces();
  const own = ['lo', 'docker0', ...wayOut()]
    .flatMap((name) => interfaces[name] ?? [])
    .filter(({ family }) => family === 'IPv4')
    .map(({ address }) => address);
  return [...new Set([...gateways, ...own, '127.0.0.1'])];
}

/** The interfaces that lead to the world. */
function wayOut(): string[] {
  const routes = readFileSync('/proc/net/route', 'utf8').trim().split('\n').slice(1);
  return routes.flatMap((route) => {
    const [name, destination] = route.split('\t');
    return name !== undefined && destination === '00000000' ? [name] : [];
  });
}

/** What a job's container got when it posted a Create to each address: the first line of the reply, or why there is none. */
async function attack(
  node: NodeProcess,
  addresses: readonly string[],
  port: number,
): Promise<Map<string, string>> {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'ContainerService.Create',
    params: { image: 'evil' },
  });
  const script = addresses
    .map((address) => {
      const head = `POST /jrpc HTTP/1.1\\r\\nHost: ${address}:${port}\\r\\nContent-Type: application/json\\r\\n`;
      const rest = `Content-Length: ${body.length}\\r\\nConnection: close\\r\\n\\r\\n`;
      return `echo "${address} $(printf '${head}${rest}%s' '${body}' | nc -w 2 ${address} ${port} 2>&1 | cat)" | dd bs=200 count=1 2>/dev/null; echo; echo ----`;
    })
    .join('\n');
  const { job_id } = await node.rpc('ContainerService.Create', {
    image: TEST_IMAGE,
    arguments: ['sh', '-c', script],
  });
  await node.rpc('JobService.Wait', { job_id });
  const { entries } = await node.rpc('ContainerService.Logs', { job_id });
  const found = new Map<string, string>();
  for (const { line } of entries) {
    const match = /^(\d+(?:\.\d+){3}) (.*)$/.exec(line.trim());
    if (match !== null) found.set(match[1] ?? '', match[2] ?? '');
  }
  return found;
}

test('A3: a container reaches the API on no address without a token', async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  await using home = await NodeHome.create({
    settings: { listen_address: '0.0.0.0', reconcile_interval: '1s', 'peers.enabled': 'true' },
  });
  const node = await home.start();
  // The network is made with the first container.
  const first = await node.rpc('ContainerService.Create', { image: TEST_IMAGE, arguments: ['true'] });
  await node.rpc('JobService.Wait', { job_id: first.job_id });
  const addresses = await hostAddresses(docker, home.network);
  const replies = await attack(node, addresses, node.port);
  expect(addresses.length).toBeGreaterThan(2);
  expect([...replies.keys()]).toEqual(addresses);
  const outcomes = new Set(replies.values());
  for (const [address, reply] of replies) {
    if (address === '127.0.0.1') expect(reply, address).toMatch(/refused/);
    else expect(reply, address).toMatch(/^HTTP\/1\.1 401 |refused|unreachable|timed out/);
  }
  // At least one door was really knocked at.
  expect([...outcomes].some((reply) => reply.startsWith('HTTP/1.1 401'))).toBe(true);
  const { jobs } = await node.rpc('JobService.List', {});
  expect(jobs.filter(({ image }) => image === 'evil')).toEqual([]);
});

test('A10: every container that the node makes has the limits that are promised', async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  await using home = await NodeHome.create();
  const node = await home.start();
  const specs = [
    {},
    { resources: { cpu: '0.5', memory: '32m', pids: 20 } },
    { restart: { policy: 'always' } as const },
    { ports: [{ container: 80 }] },
    { network: 'none' },
    { user: 'guest' },
    { drop_capabilities: true },
    { read_only: true },
  ];
  for (const spec of specs) {
    const { job_id } = await node.rpc('ContainerService.Create', {
      image: TEST_IMAGE,
      arguments: ['sleep', '600'],
      ...spec,
    });
    const { container_id } = await node.rpc('JobService.Wait', { job_id, until: 'running' });
    const { HostConfig, Mounts } = await docker.getContainer(container_id ?? '').inspect();
    const resources = 'resources' in spec ? spec.resources : undefined;
    const memory = (resources === undefined ? 64 : 32) * 1024 ** 2;
    expect(HostConfig, JSON.stringify(spec)).toMatchObject({
      Privileged: false,
      CapAdd: null,
      CapDrop: ['drop_capabilities' in spec ? 'ALL' : 'NET_RAW'],
      ReadonlyRootfs: 'read_only' in spec,
      SecurityOpt: ['no-new-privileges'],
      PidsLimit: resources === undefined ? 256 : 20,
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: resources === undefined ? 1e9 : 5e8,
      Init: true,
      RestartPolicy: { Name: expect.stringMatching(/^(no)?$/) as string },
      PublishAllPorts: false,
      PidMode: '',
      UTSMode: '',
      UsernsMode: '',
      VolumesFrom: null,
      NetworkMode: 'network' in spec ? 'none' : home.network,
    });
    expect(HostConfig.Devices ?? []).toEqual([]);
    expect(HostConfig.Binds ?? []).toEqual([]);
    expect(Mounts).toEqual([]);
    expect(['private', 'none', '']).toContain(HostConfig.IpcMode);
  }
  const network = (await docker.getNetwork(home.network).inspect()) as { Options: Record<string, string> };
  expect(network.Options['com.docker.network.bridge.enable_icc']).toBe('false');
});

test('A10: what is promised holds inside the container too', async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  await using home = await NodeHome.create();
  const node = await home.start();
  const script = [
    'echo 1 > /proc/sys/kernel/panic && echo WROTE',
    'ping -c 1 -W 1 127.0.0.1 && echo PINGED',
    'i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; echo FORKED',
  ].join('; ');
  const { job_id } = await node.rpc('ContainerService.Create', {
    image: TEST_IMAGE,
    arguments: ['sh', '-c', script],
    resources: { pids: 20 },
  });
  const ended = await node.rpc('JobService.Wait', { job_id });
  const { entries } = await node.rpc('ContainerService.Logs', { job_id });
  const text = entries.map(({ line }) => line).join('\n');
  expect(text).not.toMatch(/WROTE|PINGED|FORKED/);
  expect(text).toMatch(/can't fork/);
  expect(ended.status).toBe('failed');
});
