import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { expect } from 'vitest';
import { disconArguments, SWAP } from '../../../support/discon/arguments.ts';
import { type DisconClient, SimulatorEndedError } from '../../../support/discon/client.ts';
import { UpgradeRefusedError } from '../../../support/discon/upgrade.ts';
import type { SeededRandom } from '../../support/seed.ts';
import { controller, type DoorNode, step } from './door-node.ts';

/** What a container that does not start in time is given. */
const START_LIMIT = '1500ms';
/** Those with nothing wrong about them. */
const CONTROLLERS = ['own', 'shared', 'warm'];
const MIB = 1024 ** 2;
const HANDSHAKE = [
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
].join('\r\n');

/** The controllers that visits are made to, all of one image. */
export function controllersOf(image: string): Record<string, unknown>[] {
  const bad = (id: string, fault: string): Record<string, unknown> =>
    controller(id, image, { env: { [fault]: '1' } });
  return [
    controller('own', image),
    controller('shared', image, { sharing: 'shared', max_connections: 3 }),
    controller('warm', image, { warm: 1 }),
    // One at a time, so that whoever is connected knows which container is theirs.
    controller('victim', image, { max_instances: 1 }),
    controller('late', image, { env: { START_DELAY_MS: '3600000' }, start_timeout: START_LIMIT }),
    bad('refusing', 'REFUSE'),
    bad('mute', 'HANG_UPGRADE'),
    bad('babbling', 'GARBAGE'),
    bad('dying', 'DIE_AFTER_101'),
    bad('flooding', 'FLOOD'),
  ];
}

export interface VisitSurroundings {
  readonly node: DoorNode;
  readonly docker: Docker;
  readonly random: SeededRandom;
}

export type Visit = (surroundings: VisitSurroundings) => Promise<void>;

/** For a container to answer. */
export const HANDSHAKE_LIMIT = '1s';

/** All that clients do, from their coming to their leaving. Each fails when it does not go as it must. */
export const VISITS: Readonly<Record<string, Visit>> = {
  'calls and goes': async ({ node, random }) => {
    const client = await node.connect(random.pick(CONTROLLERS));
    await callTimes(client, random.int(1, 20));
    client.drop();
  },
  'thinks for long': async ({ node, random }) => {
    const client = await node.connect(random.pick(CONTROLLERS));
    await step(client);
    await delay(random.int(200, 2_000));
    expect(await step(client)).toBe('DISCON called 2 times');
    client.drop();
  },
  'is cut off': async ({ node, random }) => {
    const client = await node.connect(random.pick(CONTROLLERS));
    await callTimes(client, random.int(0, 3));
    client.webSocket.abort();
  },
  'goes in the middle of a call': async ({ node, random }) => {
    const client = await node.connect(random.pick(CONTROLLERS));
    const given = disconArguments();
    given.swap[SWAP.sleepMs] = 300;
    const called = client.call(given).catch(() => undefined);
    await delay(random.int(0, 300));
    client.drop();
    await called;
  },
  'says that it has no more to say': async ({ node, random }) => {
    const socket = await openEcho(node, random);
    await socket.sendText('there');
    await socket.receive();
    socket.endSending();
    await socket.ended;
  },
  'says goodbye': async ({ node, random }) => {
    const socket = await openEcho(node, random);
    await socket.sendClose(1000);
    await socket.ended;
  },
  'has much to say': async ({ node, random }) => {
    const socket = await openEcho(node, random);
    const much = randomBytes(random.int(1, 5) * MIB);
    await socket.sendBinary(much);
    expect((await socket.receive()).data.equals(much)).toBe(true);
    socket.drop();
  },
  'does not read': async ({ node, random }) => {
    const socket = await openEcho(node, random);
    socket.stopReading();
    const sent = socket.sendBinary(randomBytes(8 * MIB)).catch(() => undefined);
    await delay(random.int(50, 1_000));
    socket.drop();
    await sent;
  },
  'leaves while it waits': async ({ node, random }) => {
    const id = random.pick([...CONTROLLERS, 'late', 'mute', 'victim']);
    const socket = connect(node.home.port, '127.0.0.1').on('error', () => undefined);
    socket.write(`GET /ws?controller=${id} HTTP/1.1\r\n${HANDSHAKE}\r\n\r\n`);
    await delay(random.int(0, 600));
    socket.destroy();
  },
  'asks for what is not there': async ({ node }) => expectRefusal(node, 'nobody', 400),
  'is refused by its container': async ({ node }) => expectRefusal(node, 'refusing', 500),
  'has a container that never listens': async ({ node }) => expectRefusal(node, 'late', 502),
  'has a container that never answers': async ({ node }) => expectRefusal(node, 'mute', 504),
  'has a container that speaks no HTTP': async ({ node }) => expectRefusal(node, 'babbling', 502),
  'has a container that dies at once': async ({ node }) => {
    const socket = await node.open('/ws?controller=dying');
    await socket.ended;
  },
  'is flooded': async ({ node, random }) => {
    const socket = await node.open('/ws?controller=flooding');
    if (random.next() < 0.5) socket.stopReading();
    await delay(random.int(50, 500));
    socket.drop();
  },
  'has a container that crashes': async ({ node }) => {
    const client = await node.connect('own');
    const given = disconArguments();
    given.swap[SWAP.crash] = 1;
    await expect(client.call(given)).rejects.toThrow(SimulatorEndedError);
  },
  'has a container that is killed': async ({ node, docker }) => {
    const client = await node.connect('victim');
    await step(client);
    client.webSocket.startReading();
    const victims = await node.containers();
    const victim = victims.find(
      ({ Labels, State }) => Labels['container-manager.controller'] === 'victim' && State === 'running',
    );
    await docker.getContainer(victim?.Id ?? '').kill();
    await client.webSocket.ended;
  },
};

async function callTimes(client: DisconClient, count: number): Promise<void> {
  for (let call = 1; call <= count; call += 1) expect(await step(client)).toBe(`DISCON called ${call} times`);
}

function openEcho(node: DoorNode, random: SeededRandom) {
  return node.open(`/ws?controller=${random.pick(CONTROLLERS)}&proc=ECHO`);
}

async function expectRefusal(node: DoorNode, id: string, status: number): Promise<void> {
  const outcome: unknown = await node.open(`/ws?controller=${id}`).catch((error: unknown) => error);
  if (!(outcome instanceof UpgradeRefusedError)) throw new Error(`${id} was not refused: ${String(outcome)}`);
  expect(outcome.status).toBe(status);
}
