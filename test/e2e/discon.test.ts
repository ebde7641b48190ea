import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { disconArguments, messageIn, SWAP } from '../support/discon/arguments.ts';
import { DisconClient, SimulatorEndedError, type DisconClientOptions } from '../support/discon/client.ts';
import { textOf } from '../support/discon/frames.ts';
import {
  type ControllerImage,
  type ControllerImageOptions,
  importControllerImage,
  LIBRARY_PATHS,
} from '../support/discon/image.ts';
import { RawWebSocket } from '../support/discon/raw-web-socket.ts';
import { ServerContainer } from '../support/discon/server-container.ts';
import { UpgradeRefusedError } from '../support/discon/upgrade.ts';
import { DockerRun, requireDocker } from '../support/docker.ts';
import { NodeHome, type NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

/** What a busy machine may need until something is so, ms. */
const SOON_MS = 30_000;
const STOP_MS = 2_000;
/** Time for sessions to end by themselves, and for their containers to stop. */
const GRACE_MS = STOP_MS + 6_000;
const MIB = 1024 ** 2;

let docker: Docker;
let home: NodeHome;
let node: NodeProcess;
const images: ControllerImage[] = [];
const clients: Disposable[] = [];

/** Entries as people write them into the database. */
let entries: Record<string, unknown>[] = [];

async function image(options: ControllerImageOptions): Promise<string> {
  const made = await importControllerImage(docker, { type: null, ...options });
  images.push(made);
  return made.reference;
}

const entry = (id: string, reference: string, changes: Record<string, unknown> = {}) => ({
  id,
  name: `Controller ${id}`,
  version: '1.0.0',
  image: reference,
  description: '',
  library_path: LIBRARY_PATHS.controller,
  proc_name: 'DISCON',
  ports: { internal: 8080, external: 0 },
  resources: { memory: '64m' },
  ...changes,
});

beforeAll(async () => {
  docker = await requireDocker();
  const [plain, slow, refusing, named] = await Promise.all([
    image({}),
    image({ env: { START_DELAY_MS: '4000' } }),
    image({ env: { REFUSE: '1' } }),
    image({ env: { CONTROLLER_NAME: 'rosco 2.9' } }),
  ]);
  entries = [
    entry('first', plain),
    entry('default', plain),
    entry('rosco', plain, { version: '2.8.0' }),
    entry('rosco', named, { version: '2.9.4' }),
    entry('rosco-v2_9_4', named),
    entry('slow', slow),
    entry('refusing', refusing),
    entry('shared', plain, { sharing: 'shared', max_connections: 2, idle_timeout: '1s' }),
  ];
  ({ home, node } = await startNode());
}, 120_000);
afterEach(async () => {
  for (const client of clients.splice(0)) client[Symbol.dispose]();
  await untilNothingIsLeft();
});
afterAll(async () => {
  await home?.[Symbol.asyncDispose]();
  for (const made of images) await made[Symbol.asyncDispose]();
});

async function startNode(controllers = entries): Promise<{ home: NodeHome; node: NodeProcess }> {
  const made = await NodeHome.create({
    settings: {
      'frontdoor.stop_timeout': `${STOP_MS}ms`,
      'frontdoor.idle_timeout': '1s',
      grace_period: `${GRACE_MS}ms`,
      reap_grace: '2s',
      'catalog.discovery': 'manual',
    },
  });
  mkdirSync(made.dataDir, { recursive: true });
  writeFileSync(join(made.dataDir, 'controllers.json'), JSON.stringify({ controllers }));
  return { home: made, node: await made.start() };
}

async function connect(
  libraryPath: string,
  options: Partial<DisconClientOptions> = {},
): Promise<DisconClient> {
  const serverAddress = `127.0.0.1:${home.port}`;
  const client = await DisconClient.connect({ serverAddress, libraryPath, proc: 'DISCON', ...options });
  clients.push(client);
  return client;
}

async function open(target: string, port = home.port): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open({ host: '127.0.0.1', port, target });
  clients.push(socket);
  return socket;
}

async function refusal(target: string): Promise<{ status: number; body: string }> {
  const error: unknown = await open(target).catch((failure: unknown) => failure);
  if (!(error instanceof UpgradeRefusedError)) throw new Error(`not refused: ${String(error)}`);
  return { status: error.status, body: error.body.trimEnd() };
}

async function untilNothingIsLeft(place = home): Promise<void> {
  await waitFor('no container to be left', SOON_MS, async () => (await containers(place)).length === 0);
}

/** Those that clients are led to. */
const containers = async (place = home): Promise<Docker.ContainerInfo[]> =>
  (await place.containers(docker)).filter(({ Labels }) => 'container-manager.sharing' in Labels);

async function call(client: DisconClient, given = disconArguments()): Promise<string> {
  await client.call(given);
  return messageIn(given);
}

describe('what simulators rely on', () => {
  test('0.10.2 path names the controller, as stock clients say it; the container is asked for what the catalog says', async () => {
    const client = await connect('rosco');
    const given = disconArguments();
    expect(await call(client, given)).toBe('DISCON called 1 times');
    expect(textOf(given.outName)).toBe('rosco 2.9');
    const [made] = await containers();
    expect(made?.Labels).toMatchObject({
      'container-manager.controller': 'rosco',
      'container-manager.controller-version': '2.9.4',
    });
    const [session] = (await node.rpc('JobService.List', { states: ['running'] })).jobs;
    expect(session).toMatchObject({ name: 'rosco', status: 'running' });
  });

  test('0.10.3 what is not there is refused before any container is made', async () => {
    const count = (await node.rpc('JobService.List', {})).jobs.length;
    expect(await refusal('/ws?controller=nope')).toEqual({ status: 400, body: 'Controller not found: nope' });
    expect(await refusal('/ws?version=9.9')).toEqual({
      status: 400,
      body: 'Controller version not found: 9.9',
    });
    expect((await refusal('/ws?controller=%zz')).status).toBe(400);
    expect((await node.rpc('JobService.List', {})).jobs).toHaveLength(count);
  });

  test('0.10.4 a procedure of one client is not the next one’s', async () => {
    const other = await connect('rosco', { proc: 'CONTROL' });
    expect(await call(other)).toBe('CONTROL called 1 times');
    const socket = await open('/ws?controller=rosco');
    expect(socket.head.status).toBe(101);
    expect((await refusal('/ws?controller=rosco&proc=NOPE')).body).toBe(
      'Error loading function from shared library',
    );
    const after = await connect('rosco');
    expect(await call(after)).toBe('DISCON called 1 times');
  });

  test.each([
    ['discon-server-rosco', 'rosco', '2.9.4'],
    ['rosco-v2_9_4', 'rosco-v2_9_4', '1.0.0'],
    ['/app/build/libdiscon.so', 'default', '1.0.0'],
  ])('0.10.5 path %s leads to %s', async (path, id, version) => {
    const socket = await open(`/ws?path=${encodeURIComponent(path)}&proc=DISCON`);
    expect(decodeURIComponent(socket.head.headers['x-controller'] ?? '')).toBe(`${id}@${version}`);
  });

  test('0.10.6 a container that takes 4 s to listen: the client is answered then, and its file arrives', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cm-discon-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'input.txt');
    await writeFile(file, 'Line1\n');
    const client = await connect('slow');
    expect(client.attempts).toEqual([]);
    const given = disconArguments(file, { inFileBytes: file.length + 1 });
    expect(await call(client, given)).toBe('DISCON called 1 times');
    expect(given.swap[SWAP.fileBytes]).toBe('Line1\n'.length);
  });

  test('0.10.7 a container that refuses: an HTTP error in its words, and it is gone', async () => {
    const failure: unknown = await connect('refusing', { connectPausesMs: [10] }).catch(
      (error: unknown) => error,
    );
    if (!(failure instanceof SimulatorEndedError)) throw new Error('it was let in');
    expect(failure.attempts).toHaveLength(2);
    for (const attempt of failure.attempts) expect(attempt.status).toBe(500);
    await untilNothingIsLeft();
  });

  test('0.10.8 two clients of one controller have a state each', async () => {
    const pair = await Promise.all([connect('rosco'), connect('rosco')]);
    expect(await Promise.all(pair.map((client) => call(client)))).toEqual([
      'DISCON called 1 times',
      'DISCON called 1 times',
    ]);
    expect(await call(pair[0])).toBe('DISCON called 2 times');
    expect(await containers()).toHaveLength(2);
  });

  test('0.10.8 also where they share a container', async () => {
    const pair = await Promise.all([connect('shared'), connect('shared')]);
    expect(await Promise.all(pair.map((client) => call(client)))).toEqual([
      'DISCON called 1 times',
      'DISCON called 1 times',
    ]);
    expect(await containers()).toHaveLength(1);
  });

  test('0.10.9 5 MB pass as they are, both ways, and text stays text', async () => {
    const socket = await open('/ws?controller=rosco&proc=ECHO');
    const sent = randomBytes(5 * MIB);
    await socket.sendBinary(sent);
    const binary = await socket.receive();
    expect([binary.type, binary.data.equals(sent)]).toEqual(['binary', true]);
    await socket.sendText('as it is');
    expect(await socket.receive()).toMatchObject({ type: 'text', data: Buffer.from('as it is') });
  });

  test('0.10.10 a client that is cut off takes its container along, once', async () => {
    const client = await connect('rosco');
    const [{ Id } = { Id: '' }] = await containers();
    client.webSocket.abort();
    const startedMs = performance.now();
    await untilNothingIsLeft();
    expect(performance.now() - startedMs).toBeLessThan(STOP_MS + 10_000);
    await expect(docker.getContainer(Id).inspect()).rejects.toMatchObject({ statusCode: 404 });
    const metrics = (await node.get('/metrics')).text;
    expect(metrics).toMatch(/^container_manager_door_sessions 0$/m);
  });

  test('0.10.11 a container that is killed ends its client promptly', async () => {
    const client = await connect('rosco');
    await call(client);
    const [{ Id } = { Id: '' }] = await containers();
    client.webSocket.startReading();
    const startedMs = performance.now();
    await docker.getContainer(Id).kill();
    expect((await client.webSocket.ended).kind).toMatch(/^(?:fin|reset)$/);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  test('0.10.12 a client that is silent for longer than an idle container stays is not cut', async () => {
    const client = await connect('shared');
    await call(client);
    await delay(3_000);
    expect(await call(client)).toBe('DISCON called 2 times');
  });

  test('0.10.13 a node that is told to stop ends its sessions and leaves no container of theirs', async () => {
    const own = await startNode();
    onTestFinished(() => own.home[Symbol.asyncDispose]());
    const sockets = await Promise.all([1, 2].map(() => open('/ws?controller=rosco', own.home.port)));
    expect(await containers(own.home)).toHaveLength(2);
    const startedMs = performance.now();
    expect(await own.node.stop()).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(GRACE_MS);
    await Promise.all(sockets.map((socket) => socket.ended));
    expect(await containers(own.home)).toEqual([]);
  });

  test('0.10.13 a node that was killed removes what its sessions had when it is back; what is shared goes on', async () => {
    const own = await startNode();
    onTestFinished(() => own.home[Symbol.asyncDispose]());
    await open('/ws?controller=rosco', own.home.port);
    await open('/ws?controller=shared', own.home.port);
    const [shared] = (await containers(own.home)).filter(
      ({ Labels }) => Labels['container-manager.sharing'] === 'shared',
    );
    await own.node.kill();
    await own.home.start();
    const again = await open('/ws?controller=shared', own.home.port);
    await waitFor('the other one to be gone', SOON_MS, async () => {
      const left = await containers(own.home);
      return left.length === 1 && left[0]?.Id === shared?.Id;
    });
    again.drop();
    await untilNothingIsLeft(own.home);
  });

  test('0.10.14 a live test really calls', async () => {
    const report = await node.rpc('ControllerService.Test', { id: 'rosco', version: '2.9.4' });
    expect(report).toMatchObject({ passed: true, fail: 0, message: 'DISCON called 1 times' });
    expect(report).toHaveProperty('start_ms');
    expect(report).toHaveProperty('answer_ms');
  });

  test('0.10.16 the metrics tell of sessions and instances', async () => {
    await open('/ws?controller=rosco');
    const metrics = (await node.get('/metrics')).text;
    expect(metrics).toMatch(/^container_manager_door_sessions 1$/m);
    expect(metrics).toMatch(/^container_manager_door_instances 1$/m);
    expect((await node.get('/health')).status).toBe(200);
  });

  test('0.10.17 999 calls give what they give without a node in between', async () => {
    await using run = await DockerRun.start();
    const reference = entries[0]?.['image'] as string;
    const server = await ServerContainer.start(run, reference);
    const through = await connect('default');
    const direct = await connect(LIBRARY_PATHS.controller, { serverAddress: server.address });
    for (let step = 1; step <= 999; step += 1) {
      const [a, b] = [disconArguments(), disconArguments()];
      for (const given of [a, b]) given.swap[SWAP.input] = step;
      await Promise.all([through.call(a), direct.call(b)]);
      expect(a).toEqual(b);
    }
  });
});

test('a controller that is kept warm is there at once, and again behind whoever has it; a node that was killed begins anew', async () => {
  const own = await startNode([entry('warm', entries[0]?.['image'] as string, { warm: 1 })]);
  onTestFinished(() => own.home[Symbol.asyncDispose]());
  const paused = async (): Promise<Docker.ContainerInfo[]> =>
    (await containers(own.home)).filter(({ State }) => State === 'paused');
  const untilWarm = (): Promise<number> =>
    waitFor('one to be kept warm', SOON_MS, async () => (await paused()).length === 1);
  await untilWarm();
  const [warm] = await paused();
  const serverAddress = `127.0.0.1:${own.home.port}`;
  const client = await connect('warm', { serverAddress });
  expect(await call(client)).toBe('DISCON called 1 times');
  const { State } = await docker.getContainer(warm?.Id ?? '').inspect();
  expect(State).toMatchObject({ Running: true, Paused: false });
  await untilWarm();
  await own.node.kill();
  await own.home.start();
  await waitFor('what was there before to be gone', SOON_MS, async () => {
    const left = await containers(own.home);
    return left.length === 1 && left[0]?.State === 'paused';
  });
  expect((await paused())[0]?.Id).not.toBe(warm?.Id);
});

test('a job that runs is reached by its id', async () => {
  const name = `direct-${randomUUID().slice(0, 8)}`;
  const { job_id } = await node.rpc('ContainerService.Create', {
    image: entries[0]?.['image'] as string,
    name,
    healthcheck: { tcp: 8080 },
  });
  await node.rpc('JobService.Wait', { job_id, until: 'running' });
  const target = `/ws?job=${job_id}&path=${encodeURIComponent(LIBRARY_PATHS.controller)}&proc=ECHO`;
  const socket = await open(target);
  await socket.sendText('there');
  expect(await socket.receive()).toMatchObject({ data: Buffer.from('there') });
  socket.drop();
  expect((await node.rpc('ContainerService.Status', { job_id })).status).toBe('running');
  await node.rpc('ContainerService.Remove', { job_id, force: true });
});
