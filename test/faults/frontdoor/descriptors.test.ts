import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DisconClient } from '../../support/discon/client.ts';
import { type ControllerImage, importControllerImage } from '../../support/discon/image.ts';
import { UpgradeRefusedError } from '../../support/discon/upgrade.ts';
import { requireDocker } from '../../support/docker.ts';
import { boundMs, figure, IS_FULL } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { requirePrograms, run } from '../support/programs.ts';
import { controller, DoorNode, step } from './support/door-node.ts';

/** What the process may have open; some 35 are in use at rest. */
const LIMIT = figure(128, 256);
/** More than any limit lets in. */
const CROWD = figure(200, 2_000);
const MUTE = figure(200, 2_000);
/** Descriptors that are left, and how many come for them. */
const LEFT = IS_FULL ? [0, 1, 2, 3, 4, 5, 6, 8, 10] : [0, 2];
const FEW = 20;
const MANY = 10_000;
/** How long a connection may say nothing. */
const HEADERS_TIMEOUT_MS = 2_000;
/** For a client to be told, one way or the other. */
const TOLD_WITHIN_MS = boundMs(5_000);
const HEALTH_WITHIN_MS = boundMs(250);
const SOON_MS = 30_000;
/** How long a full node is watched, and what it may use meanwhile of one processor. */
const WATCHED_MS = figure(500, 10_000);
const MAX_BUSY = 0.2;
const RESTS_WITHIN_MS = 20 * WATCHED_MS;
const STEP_PAUSE_MS = 50;
/** Lines of the log for each round, whatever comes. */
const MAX_LINES = 20;
const TICKS_PER_S = 100;

let docker: Docker;
let image: ControllerImage;

beforeAll(async () => {
  requirePrograms('prlimit');
  docker = await requireDocker();
  image = await importControllerImage(docker, { type: null });
});
afterAll(async () => {
  await image?.[Symbol.asyncDispose]();
});

async function startNode(limit?: number): Promise<DoorNode> {
  const node = await DoorNode.start({
    docker,
    controllers: [
      controller('own', image.reference),
      controller('shared', image.reference, {
        sharing: 'shared',
        max_connections: CROWD,
        resources: { memory: '256m', pids: 2 * CROWD },
      }),
    ],
    settings: {
      'limits.headers_timeout': `${HEADERS_TIMEOUT_MS}ms`,
      'catalog.discovery': 'manual',
    },
    ...(limit !== undefined && { launcher: ['/usr/bin/prlimit', `--nofile=${limit}:${limit}`] }),
  });
  return node;
}

/** How each of so many clients at once is answered: a status, or `closed`. */
async function crowd(node: DoorNode, count: number): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  const ask = async (): Promise<void> => {
    const startedMs = performance.now();
    const answer = await node.open('/ws?controller=shared').then(
      () => '101',
      (error: unknown) => (error instanceof UpgradeRefusedError ? String(error.status) : 'closed'),
    );
    expect(performance.now() - startedMs).toBeLessThan(TOLD_WITHIN_MS);
    answers[answer] = (answers[answer] ?? 0) + 1;
  };
  await Promise.all(Array.from({ length: count }, ask));
  return answers;
}

/** Connections that never say what they want. */
async function openMute(node: DoorNode, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => {
    const socket = connect(node.home.port, '127.0.0.1');
    socket.on('error', () => undefined);
    return socket.resume();
  });
  await waitFor('all to be taken or turned away', SOON_MS, () => {
    return sockets.every(({ connecting, closed }) => !connecting || closed);
  });
  return sockets;
}

/** Clients that came before go on, and the process comes to rest: it does not run in circles. */
async function watch(node: DoorNode, ...before: readonly DisconClient[]): Promise<void> {
  await waitFor('the node to come to rest', RESTS_WITHIN_MS, async () => {
    const busyBefore = busySeconds(node);
    const startedMs = performance.now();
    do {
      for (const said of await Promise.all(before.map((client) => step(client))))
        expect(said).toMatch(/^DISCON called/);
      await delay(STEP_PAUSE_MS);
    } while (performance.now() - startedMs < WATCHED_MS);
    const busy = (busySeconds(node) - busyBefore) / ((performance.now() - startedMs) / 1000);
    return busy < MAX_BUSY;
  });
}

function busySeconds(node: DoorNode): number {
  const [user = 0, system = 0] = readFileSync(`/proc/${node.process.pid}/stat`, 'latin1')
    .split(' ')
    .slice(13, 15)
    .map(Number);
  return (user + system) / TICKS_PER_S;
}

const lineCount = (node: DoorNode): number => node.home.log().split('\n').length;

/** From now on it may open so many more, and no further ones. */
function leave(node: DoorNode, free: number): void {
  const open = new Set(node.descriptors());
  let limit = 0;
  // The limit is on their numbers, and some below may be free.
  for (let left = free; left > 0 || open.has(limit); limit += 1) if (!open.has(limit)) left -= 1;
  run('prlimit', '--pid', String(node.process.pid), `--nofile=${limit}:`);
}

describe.concurrent('descriptors', () => {
  test('a crowd for whom there are not enough is told so, and the node goes on with the others', async () => {
    await using node = await startNode(LIMIT);
    const shared = await node.connect('shared');
    const own = await node.connect('own');
    const [linesBefore, openBefore] = [lineCount(node), node.descriptors().length];
    const answers = await crowd(node, CROWD);
    console.log(`${CROWD} clients at once, ${LIMIT} descriptors: ${JSON.stringify(answers)}`);
    // Where they come one after another nobody is cut off: each is told.
    const { '101': led = 0, '503': toldWhen = 0, closed: cutOff = 0 } = answers;
    expect(led + toldWhen + cutOff).toBe(CROWD);
    expect(led).toBeGreaterThan(0);
    expect(led).toBeLessThan(CROWD);
    await watch(node, own, shared);
    // What it has kept for itself is enough to answer, and to remove and make containers.
    const startedMs = performance.now();
    expect((await node.process.get('/health')).status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(HEALTH_WITHIN_MS);
    const { sessions } = await node.process.rpc('SessionService.List', {});
    expect(sessions).toHaveLength((answers['101'] ?? 0) + 2);
    own.drop();
    await waitFor('its container to be removed', SOON_MS, async () => (await node.containers()).length === 1);
    const next = await node.connect('own');
    const withoutMute = node.descriptors().length;
    const mute = await openMute(node, MUTE);
    await watch(node, next, shared);
    for (const socket of mute) socket.destroy();
    // Until then whoever asks for something may be turned away.
    await waitFor('the silent ones to be closed', SOON_MS, () => node.descriptors().length <= withoutMute);
    node.dropAll();
    await node.untilNothingIsHeld();
    await waitFor('all to be closed', SOON_MS, () => node.descriptors().length <= openBefore);
    // One for each that was told why.
    expect(lineCount(node) - linesBefore - (answers['503'] ?? 0)).toBeLessThan(MAX_LINES);
  });

  test('without any left nothing ends but what is new, and all is well when there are some again', async () => {
    await using node = await startNode();
    const before = [await node.connect('shared'), await node.connect('own')];
    const openBefore = node.descriptors().length;
    for (const free of LEFT) {
      const linesBefore = lineCount(node);
      leave(node, free);
      const answers = await crowd(node, FEW);
      const mute = await openMute(node, FEW);
      console.log(`${FEW} clients at once, ${free} descriptors left: ${JSON.stringify(answers)}`);
      expect(['101', '502', '503', 'closed']).toEqual(expect.arrayContaining(Object.keys(answers)));
      expect(answers['closed']).toBeGreaterThan(0);
      await watch(node, ...before);
      leave(node, MANY);
      for (const socket of mute) socket.destroy();
      expect((await node.process.get('/ready')).status).toBe(200);
      expect(await crowd(node, 1)).toEqual({ 101: 1 });
      expect(lineCount(node) - linesBefore - FEW).toBeLessThan(MAX_LINES);
    }
    node.dropAll();
    await node.untilNothingIsHeld();
    await waitFor('all to be closed', SOON_MS, () => node.descriptors().length <= openBefore);
  });
});
