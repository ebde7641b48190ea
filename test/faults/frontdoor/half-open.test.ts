import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SessionView } from '../../../src/api/wire.ts';
import { disconArguments, SWAP } from '../../support/discon/arguments.ts';
import { type DisconClient, SimulatorEndedError } from '../../support/discon/client.ts';
import { type ControllerImage, importControllerImage } from '../../support/discon/image.ts';
import { openUpgrade } from '../../support/discon/upgrade.ts';
import { encodeWebSocketFrame, OPCODES } from '../../support/discon/web-socket-frames.ts';
import { requireDocker } from '../../support/docker.ts';
import { boundMs, figure, IS_FULL } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { requirePrograms, run } from '../support/programs.ts';
import { controller, DoorNode, step } from './support/door-node.ts';
import { cutContainerOff, FarSide } from './support/far-side.ts';

/** How long nothing may be taken of what waits: in full the default. */
const STALL_MS = figure(1_000, 30_000);
/** From the fault to the end of the session: the limit, and two looks. */
const GIVEN_UP_MS = STALL_MS + boundMs(0.2 * STALL_MS);
/** After so much silence the other side is asked whether it is there, ten times within ten seconds. */
const KEEP_ALIVE_S = 15;
const QUIET_WITHIN_MS = 10_000;
const DEAD_WITHIN_MS = 35_000;
const SILENT_CLIENTS = 500;
/** How long a container thinks, so that its client's network can go meanwhile. */
const THINKING_MS = 600;
/** More than the kernel keeps for a connection on both its sides. */
const MUCH_BYTES = 4 * 1024 ** 2;
const MUCH_TIMES = 6;
/** Slow, and reading. The kernel tells the other side of room only once some hundred KiB are free: within the limit they must be. */
const SIP_BYTES = 64 * 1024;
const SIP_PAUSE_MS = figure(50, 250);
const SOON_MS = 30_000;

/** One for each client, so that its session is known by it. */
const OWN = ['thinking', 'full', 'cut-off', 'silent-cut-off', 'silent', 'slow', 'deaf'];

let docker: Docker;
let image: ControllerImage;
let far: FarSide;
let node: DoorNode;
let farPort: number;
const sockets: Socket[] = [];

beforeAll(async () => {
  requirePrograms('ss');
  docker = await requireDocker();
  image = await importControllerImage(docker, { type: null });
  far = new FarSide();
  const sharing = { sharing: 'shared', max_connections: SILENT_CLIENTS };
  const resources = { memory: '256m', pids: 2 * SILENT_CLIENTS };
  node = await DoorNode.start({
    docker,
    controllers: [
      ...OWN.map((id) => controller(id, image.reference)),
      controller('shared', image.reference, { ...sharing, resources }),
    ],
    settings: {
      listen_address: '0.0.0.0',
      'frontdoor.allowed_networks': far.network,
      'frontdoor.stall_timeout': `${STALL_MS}ms`,
    },
  });
  farPort = await far.open(node.home.port);
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await node?.[Symbol.asyncDispose]();
  await far?.[Symbol.asyncDispose]();
  await image?.[Symbol.asyncDispose]();
});

async function sessionsOf(id: string): Promise<SessionView[]> {
  const { sessions } = await node.process.rpc('SessionService.List', {});
  return sessions.filter((session) => session.controller === `${id}@1.0.0`);
}

const isOpen = async (id: string): Promise<boolean> => (await sessionsOf(id)).length > 0;
const untilGone = (...ids: string[]): Promise<number> =>
  waitFor(`${ids.join()} to be given up`, GIVEN_UP_MS + SOON_MS, async () => {
    return (await Promise.all(ids.map(isOpen))).every((open) => !open);
  });

/** An echo that is asked for more than fits on the way back, so that much of it waits in the node. Resolves when nothing passes. */
async function openFull(id: string, port = node.home.port): Promise<Socket> {
  const { socket } = await openUpgrade({ host: '127.0.0.1', port, target: `/ws?controller=${id}&proc=ECHO` });
  socket.on('error', () => undefined);
  sockets.push(socket);
  const much = encodeWebSocketFrame({
    opcode: OPCODES.binary,
    payload: randomBytes(MUCH_BYTES),
    isMasked: true,
  });
  for (let time = 0; time < MUCH_TIMES; time += 1) socket.write(much);
  let seen = 0;
  await waitFor('the way to be full', SOON_MS, async () => {
    const [{ sent_bytes: sent } = { sent_bytes: 0 }] = await sessionsOf(id);
    const isStill = sent > 0 && sent === seen;
    seen = sent;
    await delay(100);
    return isStill;
  });
  return socket;
}

/** Cuts off the container of its only session. */
async function cutOff(id: string): Promise<void> {
  const [session] = await sessionsOf(id);
  const job = await node.process.rpc('JobService.Get', { job_id: session?.job_id ?? '' });
  const { State } = await docker.getContainer(job.container_id ?? '').inspect();
  cutContainerOff(State.Pid);
}

/** How long it takes a client that has nothing to say. */
async function untilSilentIsTold(): Promise<number> {
  const client = await node.connect('silent-cut-off');
  await step(client);
  await cutOff('silent-cut-off');
  client.webSocket.startReading();
  const startedMs = performance.now();
  await client.webSocket.ended;
  const tookMs = performance.now() - startedMs;
  console.log(`its silent client was told after ${Math.round(tookMs)} ms`);
  return tookMs;
}

/** In full so many that say nothing, of whom nothing waits for any. */
async function openSilent(): Promise<void> {
  if (!IS_FULL) return;
  for (let opened = 0; opened < SILENT_CLIENTS; opened += 50)
    await Promise.all(Array.from({ length: 50 }, () => node.open('/ws?controller=shared', farPort)));
}

/** Of both its sides the kernel will ask whether they are there. */
async function expectKeepAlive(client: DisconClient, id: string): Promise<void> {
  const [session] = await sessionsOf(id);
  const { address } = await node.process.rpc('JobService.Get', { job_id: session?.job_id ?? '' });
  const ofClient = `sport = :${node.home.port} and dport = :${client.webSocket.localPort}`;
  for (const which of [ofClient, `dst ${address}`]) {
    let timer = '';
    // What has just passed may be acknowledged only now.
    await waitFor(`a timer of ${which}`, QUIET_WITHIN_MS, () => {
      [timer = ''] = /timer:\(keepalive,[^)]*\)/.exec(run('ss', '-tnoH', which)) ?? [];
      return timer !== '';
    });
    expect(Number(/,(\d+)sec/.exec(timer)?.[1])).toBeLessThanOrEqual(KEEP_ALIVE_S);
  }
}

describe.concurrent('half of a connection', () => {
  test('a client whose network dies is given up, whatever was on its way to it, and its container goes', async () => {
    await openSilent();
    await openFull('full', farPort);
    const thinking = await node.connect('thinking', { serverAddress: `127.0.0.1:${farPort}` });
    await step(thinking);
    const [before] = await sessionsOf('thinking');
    const given = disconArguments();
    given.swap[SWAP.sleepMs] = THINKING_MS;
    thinking.call(given).catch(() => undefined);
    await waitFor('the call to arrive', SOON_MS, async () => {
      return (await sessionsOf('thinking'))[0]?.received_bytes !== before?.received_bytes;
    });
    far.cut();
    const [tookMs, silentMs] = await Promise.all([untilGone('full', 'thinking'), untilGone('shared')]);
    console.log(`given up ${Math.round(tookMs)} ms after the cut, with a limit of ${STALL_MS} ms`);
    expect(tookMs).toBeGreaterThan(STALL_MS);
    expect(tookMs).toBeLessThan(THINKING_MS + GIVEN_UP_MS);
    if (!IS_FULL) return;
    console.log(`${SILENT_CLIENTS} silent ones were gone ${Math.round(silentMs)} ms after the cut`);
    expect(silentMs).toBeLessThan(DEAD_WITHIN_MS);
  });

  test('a container whose network dies is given up, and its client told', async () => {
    const silent = IS_FULL ? untilSilentIsTold() : 0;
    const client = await node.connect('cut-off');
    await step(client);
    await cutOff('cut-off');
    const startedMs = performance.now();
    await expect(step(client)).rejects.toThrow(SimulatorEndedError);
    const tookMs = performance.now() - startedMs;
    console.log(`its client was told after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeGreaterThan(STALL_MS);
    expect(tookMs).toBeLessThan(GIVEN_UP_MS);
    expect(await silent).toBeLessThan(DEAD_WITHIN_MS);
  });

  test('who reads slowly goes on, and so does who says nothing; who takes nothing of what waits does not', async () => {
    const silent = await node.connect('silent');
    await step(silent);
    await expectKeepAlive(silent, 'silent');
    const [slow] = await Promise.all([openFull('slow'), openFull('deaf')]);
    // Well beyond what those have who take nothing.
    const untilMs = performance.now() + 2 * GIVEN_UP_MS;
    while (performance.now() < untilMs) {
      while (slow.read(SIP_BYTES) === null) await once(slow, 'readable');
      await delay(SIP_PAUSE_MS);
    }
    expect(await isOpen('slow')).toBe(true);
    expect(await step(silent)).toBe('DISCON called 2 times');
    expect(await isOpen('deaf')).toBe(false);
  });
});
