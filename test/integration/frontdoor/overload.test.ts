import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openUpgrade } from '../../support/discon/upgrade.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { http } from '../api/api-harness.ts';
import { type DoorHarness, startDoor } from './door-harness.ts';

const SOON_MS = 30_000;
const AT_ONCE = figure(600, 5_000);
const ONE_AFTER_ANOTHER = figure(200, 1_000);
const HANDSHAKE = [
  'GET /ws HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${Buffer.alloc(16, 7).toString('base64')}`,
  'Sec-WebSocket-Version: 13',
].join('\r\n');

const isEmpty = (harness: DoorHarness): boolean =>
  harness.door.sessionCount === 0 &&
  harness.pool.count === 0 &&
  harness.pool.waitingCount === 0 &&
  harness.upstream.openCount === 0 &&
  harness.jobs.fake.instances.size === 0;

const nothingLeft = (harness: DoorHarness): Promise<number> =>
  waitFor('nothing to be left', SOON_MS, () => isEmpty(harness));

function dial(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** However it ends. */
const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

test(`${AT_ONCE} requests at once: as many as may are led somewhere, the others are told when to come again`, async () => {
  const harness = await startDoor({
    door: { maxSessions: 40 },
    pool: { maxInstances: 10, maxWaiting: 20 },
    api: { limits: { maxConnections: AT_ONCE * 2 } },
    entries: [{ start_timeout: '5s' }],
  });
  const answers = new Map<string, number>();
  const sockets = Array.from({ length: AT_ONCE }, () => dial(harness.port));
  const all = sockets.map(async (socket) => {
    let reply = '';
    socket.on('data', (chunk: Buffer) => (reply += chunk.toString('latin1')));
    socket.write(`${HANDSHAKE}\r\n\r\n`);
    await waitFor('an answer', SOON_MS, () => reply.includes('\r\n\r\n') || socket.closed);
    const status = reply.slice(9, 12);
    answers.set(status, (answers.get(status) ?? 0) + 1);
    if (status === '503') expect(reply).toMatch(/\r\nRetry-After: \d+\r\n/);
  });
  // Meanwhile everything else is answered as ever.
  const startedMs = performance.now();
  expect((await http(harness.port, '/health')).status).toBe(200);
  expect(performance.now() - startedMs).toBeLessThan(boundMs(5_000));
  await Promise.all(all);
  expect(Object.fromEntries(answers)).toEqual({ '101': 10, '503': AT_ONCE - 10 });
  for (const socket of sockets) socket.destroy();
  await nothingLeft(harness);
});

test(`${ONE_AFTER_ANOTHER} sessions one after another leave nothing behind`, async () => {
  const harness = await startDoor();
  for (let session = 0; session < ONE_AFTER_ANOTHER; session += 1) {
    const { socket } = await openUpgrade({ host: '127.0.0.1', port: harness.port, target: '/ws' });
    socket.write('there');
    await once(socket.resume(), 'data');
    if (session % 2 === 0) socket.destroy();
    else socket.end();
    await waitFor('its end', SOON_MS, () => harness.door.sessionCount === 0);
  }
  await nothingLeft(harness);
  expect(harness.jobs.fake.calls.create).toBe(ONE_AFTER_ANOTHER);
  expect([...harness.jobs.log.live()]).toEqual([]);
});

test('100 sessions at once leave nothing behind', async () => {
  const harness = await startDoor({
    door: { maxSessions: 200 },
    pool: { maxInstances: 200 },
    entries: [{ max_instances: 200 }],
  });
  const opened = await Promise.all(
    Array.from({ length: 100 }, () => openUpgrade({ host: '127.0.0.1', port: harness.port, target: '/ws' })),
  );
  expect(harness.door.sessionCount).toBe(100);
  for (const { socket } of opened) socket.destroy();
  await nothingLeft(harness);
});

describe('who takes long to ask', () => {
  test.each([
    ['says nothing at all', ''],
    ['stops in the middle of its head', `${HANDSHAKE}\r\nX-Slow: `],
  ])('%s, and is cut off', async (_what, text) => {
    const harness = await startDoor({
      api: { limits: { headersTimeoutMs: 300, requestTimeoutMs: 600, connectionsCheckingIntervalMs: 50 } },
    });
    const socket = dial(harness.port);
    socket.write(text);
    await closed(socket.resume());
    expect(isEmpty(harness)).toBe(true);
  });

  test('sends a head without end, and is cut off', async () => {
    const harness = await startDoor();
    const socket = dial(harness.port);
    let reply = '';
    socket.on('data', (chunk: Buffer) => (reply += chunk.toString('latin1')));
    socket.write(`${HANDSHAKE}\r\n`);
    for (let line = 0; line < 2_000 && socket.writable; line += 1)
      socket.write(`X-${line}: ${'y'.repeat(100)}\r\n`);
    await closed(socket);
    expect(reply).toMatch(/^HTTP\/1\.1 431 /);
    expect(isEmpty(harness)).toBe(true);
  });
});

test.each([
  ['two lengths', 'Content-Length: 0\r\nContent-Length: 5'],
  ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked'],
  ['two keys', `Sec-WebSocket-Key: ${Buffer.alloc(16, 8).toString('base64')}`],
  ['two upgrades', 'Upgrade: h2c'],
  ['a line that is folded', 'X-A: b\r\n c'],
  ['a name with a space', 'X A: b'],
])('%s are refused, and nothing is begun', async (_what, lines) => {
  const harness = await startDoor();
  const socket = dial(harness.port);
  let reply = '';
  socket.on('data', (chunk: Buffer) => (reply += chunk.toString('latin1')));
  socket.write(`${HANDSHAKE}\r\n${lines}\r\n\r\n`);
  await closed(socket);
  expect(reply).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(harness.upstream.heads).toEqual([]);
  expect(harness.jobs.fake.calls.create).toBe(0);
});
