import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, chown } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { provideBaseImage } from '../support/base-image.ts';
import { disconArguments, messageIn } from '../support/discon/arguments.ts';
import { DisconClient } from '../support/discon/client.ts';
import { importControllerImage, LIBRARY_PATHS } from '../support/discon/image.ts';
import { ComposeCluster, composeConfig, composePrograms, type Service } from '../support/compose.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../support/docker.ts';
import { httpCall, rpcCall } from '../support/node-process.ts';
import { PATIENCE } from '../support/patience.ts';
import { waitFor } from '../support/wait-for.ts';

const SERVICES = ['node-1', 'node-2'] as const satisfies readonly Service[];
/** The user `node` of the image. */
const USER_ID = 1000;
const MAX_IMAGE_BYTES = 200 * 1000 ** 2;
const BUILD_LIMIT_MS = 400_000;
/** By when one of two connections that were made at once would have been given up, ms. */
const SETTLED_MS = 8_000;

const docker = await requireDocker();
let base: AsyncDisposable;

beforeAll(async () => {
  await buildTestImage(docker);
  base = await provideBaseImage(docker);
}, BUILD_LIMIT_MS);
afterAll(() => base[Symbol.asyncDispose]());

describe.each(await composePrograms())('%s', (program) => {
  let cluster: ComposeCluster;

  beforeAll(async () => {
    cluster = await ComposeCluster.create(docker, program);
    await cluster.build();
    await cluster.up();
  }, BUILD_LIMIT_MS);
  afterAll(() => cluster[Symbol.asyncDispose]());

  it('reads the file without a warning, and publishes 8080 and 8081 on this host alone', async () => {
    const { config, warnings } = await composeConfig(program);
    expect(warnings).toBe('');
    const ports = SERVICES.map((service) =>
      config.services[service].ports.map((port) =>
        typeof port === 'string' ? port : `${port.host_ip}:${port.published}:${port.target}/tcp`,
      ),
    );
    expect(ports).toEqual([['127.0.0.1:8080:8080/tcp'], ['127.0.0.1:8081:8080/tcp']]);
  });

  describe('the image', () => {
    it('is small, and says what it is', async () => {
      const { Size, Config } = await docker.getImage(cluster.image).inspect();
      expect(Size).toBeLessThan(MAX_IMAGE_BYTES);
      expect(Config.Labels).toMatchObject({
        'org.opencontainers.image.title': packageJson.name,
        'org.opencontainers.image.description': packageJson.description,
        'org.opencontainers.image.version': packageJson.version,
        'org.opencontainers.image.licenses': packageJson.license,
      });
    });

    it('holds no shell and no package manager', async () => {
      const container = await cluster.container('node-1');
      for (const name of ['sh', '/bin/sh', 'bash', 'npm', '/usr/local/bin/npm']) {
        expect((await exec(container, [name, '--version'])).exitCode, name).toBeGreaterThan(125);
      }
    });

    it("becomes a user of the socket's group, whatever its number", async () => {
      const socket = await socketFile({ mode: 0o660 });
      const { exitCode, program: started } = await startProbe(cluster.image, socket);
      expect(exitCode).toBe(0);
      expect(started).toEqual({
        uid: USER_ID,
        gid: USER_ID,
        groups: [socket.groupId, USER_ID],
        args: ['--port', '1'],
      });
    });

    it('is in no other group where there is no socket', async () => {
      const { program: started } = await startProbe(cluster.image);
      expect(started).toMatchObject({ uid: USER_ID, gid: USER_ID, groups: [USER_ID] });
    });

    it('stays root where no group may use the socket, and says so', async () => {
      const { program: started, output } = await startProbe(cluster.image, await socketFile({ mode: 0o600 }));
      expect(started).toMatchObject({ uid: 0, gid: 0 });
      expect(output).toContain('container-manager stays root: no group may use the Docker socket');
    });

    it('stays the user it was started as', async () => {
      const options = { User: '1234:1235', HostConfig: { GroupAdd: ['1236'] } };
      const { program: started } = await startProbe(cluster.image, undefined, options);
      expect(started).toMatchObject({
        uid: 1234,
        gid: 1235,
        groups: expect.arrayContaining([1236]) as number[],
      });
    });

    it('refuses to start as root where it cannot give that up', async () => {
      const {
        exitCode,
        output,
        program: started,
      } = await startProbe(cluster.image, undefined, {
        HostConfig: { CapDrop: ['ALL'] },
      });
      expect(exitCode).toBe(1);
      expect(started).toBeUndefined();
      expect(output).toMatch(/^container-manager cannot give up root \(EPERM\): .*SETUID.*SETGID.*--user/);
    });
  });

  describe('the two nodes', () => {
    it('dial each other at the same moment, connect, and stay connected', async () => {
      let log: readonly LogLine[] = [];
      const timesOf = (message: string): number[] =>
        log.filter(({ msg }) => msg === message).map(({ time }) => time);
      await waitFor('both to be connected for a while', SETTLED_MS * 3, async () => {
        log = logLines((await cluster.command(['logs'])).stdout);
        const connected = timesOf('peer connected');
        return connected.length >= SERVICES.length && Date.now() - Math.min(...connected) > SETTLED_MS;
      });
      expect(timesOf('peer disconnected')).toEqual([]);
      expect(timesOf('peer connected')).toHaveLength(SERVICES.length);
    });

    it('run as no root, can become none, and may use the socket', async () => {
      for (const service of SERVICES) {
        const status = await programStatus(await cluster.container(service));
        expect(status).toMatchObject({ Uid: `${USER_ID}\t`.repeat(4).trim(), CapEff: '0000000000000000' });
        expect(status).toMatchObject({ CapPrm: '0000000000000000', NoNewPrivs: '1' });
      }
    });

    it("are reached from this host alone, and their peers' port from none", async () => {
      for (const service of SERVICES) {
        const { NetworkSettings } = await (await cluster.container(service)).inspect();
        const published = Object.entries(NetworkSettings.Ports).filter(([, hosts]) => hosts !== null);
        const host = { HostIp: '127.0.0.1', HostPort: String(cluster.ports[service]) };
        expect(published).toEqual([['8080/tcp', [host]]]);
      }
    });

    it('run what they are handed through the published port, each its own', async () => {
      for (const service of SERVICES) {
        const { job_id } = await create(cluster, service);
        const { node } = JSON.parse((await httpCall(cluster.ports[service], { path: '/health' })).text) as {
          node: string;
        };
        const containers = await cluster.jobContainers();
        const made = containers.find(({ Names }) => Names.includes(`/cm-${job_id}`));
        expect(made?.Labels['container-manager.owner']).toBe(node);
      }
    });

    it('tell the same of a job, whichever of them is asked', async () => {
      const image = await makeSleepingImage(cluster.project);
      const params = [{ image, arguments: [], resources: {}, env: {} }];
      const created = await post(cluster, 'node-1', 'ContainerService.Create', params);
      expect(created).toMatchObject({ id: 1, result: { message: 'Job created successfully' } });
      const { job_id } = created.result;
      for (const service of SERVICES) {
        await expect
          .poll(() => post(cluster, service, 'ContainerService.Status', [{ job_id }]), PATIENCE)
          .toMatchObject({ id: 1, result: { job_id, status: 'running' } });
      }
      const there = await post(cluster, 'node-2', 'ContainerService.Create', params);
      await expect
        .poll(
          () => post(cluster, 'node-1', 'ContainerService.Status', [{ job_id: there.result.job_id }]),
          PATIENCE,
        )
        .toMatchObject({ result: { status: 'running' } });
      const containers = await cluster.jobContainers();
      const labelsOf = (id: string): Record<string, string> =>
        containers.find(({ Names }) => Names.includes(`/cm-${id}`))?.Labels ?? {};
      const [here, other] = [labelsOf(job_id), labelsOf(there.result.job_id)];
      expect(other['container-manager.owner']).not.toBe(here['container-manager.owner']);
      expect(other['container-manager.cluster']).toBe(here['container-manager.cluster']);
    });

    it('reach the containers they make: one that is ready by a port, and one that a client is led to', async () => {
      await using made = await importControllerImage(docker, { type: null });
      const [service] = SERVICES;
      const port = cluster.ports[service];
      const healthcheck = { tcp: 8080 };
      const params = { image: made.reference, healthcheck, wait_ms: PATIENCE.timeout };
      const { job_id } = await rpcCall(port, 'ContainerService.Create', params);
      expect(await rpcCall(port, 'ContainerService.Status', { job_id })).toMatchObject({ status: 'running' });
      await rpcCall(port, 'ContainerService.Stop', { job_id });
      const entry = { id: 'rosco', version: '1', image: made.reference };
      const library = { library_path: LIBRARY_PATHS.controller, proc_name: 'DISCON' };
      await rpcCall(port, 'ControllerService.Register', { ...entry, ...library });
      const serverAddress = `127.0.0.1:${port}`;
      using client = await DisconClient.connect({ serverAddress, libraryPath: 'rosco', proc: 'DISCON' });
      const given = disconArguments();
      await client.call(given);
      expect(messageIn(given)).toBe('DISCON called 1 times');
    });

    it('refuse a stranger in their own networks, a container they made among them', async () => {
      for (const network of [cluster.network, cluster.project]) {
        const output = await talkFrom(network);
        expect(output.match(/^HTTP.*$/gm), network).toEqual(Array(4).fill('HTTP/1.1 401 Unauthorized'));
      }
    });

    async function talkFrom(network: string): Promise<string> {
      const talks: string[] = [];
      for (const service of SERVICES) {
        const address = await cluster.addressOf(service, network);
        const head = `HTTP/1.1\\r\\nHost: ${address}:8080\\r\\nConnection: close\\r\\n`;
        const body = '{"jsonrpc":"2.0","id":1,"method":"QueueService.Stats"}';
        const fields = `Content-Type: application/json\\r\\nContent-Length: ${body.length}\\r\\n`;
        for (const request of [`POST /jrpc ${head}${fields}\\r\\n${body}`, `GET /jobs ${head}\\r\\n`])
          talks.push(`printf '${request}' | nc ${address} 8080`);
      }
      const HostConfig = { NetworkMode: network };
      const stranger = { Image: TEST_IMAGE, Cmd: ['sh', '-c', talks.join('; echo; ')], HostConfig };
      return (await runToEnd(stranger)).output;
    }

    it('let their client be used inside, as who may read their files', async () => {
      const container = await cluster.container('node-2');
      const peers = await exec(container, ['container-manager', 'peers']);
      expect(peers).toEqual({ exitCode: 0, output: expect.stringContaining('node-1') as string });
      const token = await exec(container, ['container-manager', 'cluster', 'token']);
      expect(token).toEqual({ exitCode: 0, output: expect.stringMatching(/^cm1\.\S+$/m) as string });
    });

    it('end when they are told to, and know their jobs again in new containers', async () => {
      const { job_id } = await create(cluster, 'node-1');
      await cluster.command(['stop']);
      for (const service of SERVICES) {
        expect((await (await cluster.container(service)).inspect()).State.ExitCode, service).toBe(0);
      }
      // Their jobs run on, and so does the network that these are in.
      await cluster.command(['rm', '--force']);
      await cluster.up();
      const status = await rpcCall(cluster.ports['node-1'], 'ContainerService.Status', { job_id });
      expect(status).toMatchObject({ job_id, status: 'complete' });
    });
  });
});

interface LogLine {
  readonly time: number;
  readonly msg: string;
}

/** What the nodes have logged, each line behind the name of its service. */
function logLines(output: string): LogLine[] {
  return output
    .split('\n')
    .filter((line) => line.includes('{"level":'))
    .map((line) => JSON.parse(line.slice(line.indexOf('{"level":'))) as LogLine);
}

/** A job that has run to its end. */
async function create(cluster: ComposeCluster, service: Service): Promise<{ job_id: string }> {
  const port = cluster.ports[service];
  const { job_id } = await rpcCall(port, 'ContainerService.Create', {
    image: TEST_IMAGE,
    arguments: ['true'],
  });
  await expect
    .poll(async () => (await rpcCall(port, 'ContainerService.Status', { job_id })).status, PATIENCE)
    .toBe('complete');
  return { job_id };
}

/** A call as the README shows it to curl. */
async function post(
  cluster: ComposeCluster,
  service: Service,
  method: string,
  params: unknown,
): Promise<{ result: { job_id: string; status?: string } }> {
  const port = cluster.ports[service];
  const headers = { 'content-type': 'application/json', host: `localhost:${port}` };
  const body = JSON.stringify({ jsonrpc: '2.0', method, params, id: 1 });
  const reply = await httpCall(port, { method: 'POST', path: '/jrpc', headers, body });
  return JSON.parse(reply.text) as { result: { job_id: string; status?: string } };
}

/** Stands for an image that needs no arguments and goes on running; other tests use the names of real ones. */
async function makeSleepingImage(name: string): Promise<string> {
  const container = await docker.createContainer({ Image: TEST_IMAGE, Cmd: ['true'] });
  await container.commit({ repo: name, tag: 'sleeping', changes: 'CMD ["sleep", "600"]' });
  await container.remove();
  return `${name}:sleeping`;
}

interface Ended {
  readonly exitCode: number;
  readonly output: string;
}

async function runToEnd(options: Docker.ContainerCreateOptions): Promise<Ended> {
  const container = await docker.createContainer({ ...options, Tty: true });
  try {
    const stream = await container.attach({ stream: true, stdout: true, stderr: true });
    const output = text(stream);
    await container.start();
    const { StatusCode } = (await container.wait()) as { StatusCode: number };
    return { exitCode: StatusCode, output: await output };
  } finally {
    await container.remove({ force: true, v: true });
  }
}

async function exec(container: Docker.Container, command: string[]): Promise<Ended> {
  const run = await container.exec({ Cmd: command, AttachStdout: true, AttachStderr: true });
  const stream = await run.start({});
  const joined = new PassThrough();
  docker.modem.demuxStream(stream, joined, joined);
  stream.on('end', () => joined.end());
  const output = await text(joined);
  return { exitCode: (await run.inspect()).ExitCode ?? -1, output };
}

interface SocketFile {
  readonly path: string;
  readonly groupId: number;
}

/** Stands for the engine's socket, of which the first program looks at the mode and the group only. */
async function socketFile({ mode }: { mode: number }): Promise<SocketFile> {
  const directory = mkdtempSync(join(tmpdir(), 'cm-socket-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'docker.sock');
  writeFileSync(path, '');
  await chmod(path, mode);
  const groupId = process.getuid?.() === 0 ? 4242 : (process.getgid?.() ?? 0);
  await chown(path, -1, groupId);
  return { path, groupId };
}

/** In the program's place: says as whom it was started, and how. */
const PROBE = `
console.log(JSON.stringify({
  uid: process.getuid(), gid: process.getgid(), groups: process.getgroups().toSorted((a, b) => b - a), args: process.argv.slice(2),
}));`;

/** Starts the image with a probe in the program's place. */
async function startProbe(
  image: string,
  socket?: SocketFile,
  options: Docker.ContainerCreateOptions = {},
): Promise<Ended & { program: unknown }> {
  const directory = mkdtempSync(join(tmpdir(), 'cm-probe-'));
  try {
    const probe = join(directory, 'probe.js');
    writeFileSync(probe, PROBE);
    await chmod(directory, 0o755);
    const binds = [`${probe}:/app/container-manager.js:ro`];
    if (socket !== undefined) binds.push(`${socket.path}:/var/run/docker.sock`);
    const HostConfig = { ...options.HostConfig, Binds: binds };
    const ended = await runToEnd({ ...options, Image: image, Cmd: ['--port', '1'], HostConfig });
    const [, json] = /^(\{.*\})\r?$/m.exec(ended.output) ?? [];
    return { ...ended, program: json === undefined ? undefined : (JSON.parse(json) as unknown) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the kernel says of the program in a node's container. */
async function programStatus(container: Docker.Container): Promise<Record<string, string>> {
  const script = `
    const fs = require('node:fs');
    const runs = (pid) => fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').split('\\0').includes('/app/container-manager.js');
    const pid = fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).find(runs);
    console.log(fs.readFileSync('/proc/' + pid + '/status', 'utf8'));`;
  const { output } = await exec(container, ['node', '-e', script]);
  return Object.fromEntries(
    output.split(/\r?\n/).map((line) => [line.split(':')[0] ?? '', line.slice(line.indexOf(':') + 1).trim()]),
  );
}
