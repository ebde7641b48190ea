import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openUpgrade, UpgradeRefusedError, type Upgraded } from '../../support/discon/upgrade.ts';
import { waitFor } from '../../support/wait-for.ts';
import { http } from '../api/api-harness.ts';
import { startDoor, type DoorHarness } from './door-harness.ts';
import { agree } from './test-upstream.ts';

const SOON_MS = 10_000;
const MIB = 1024 ** 2;
const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${Buffer.alloc(16, 7).toString('base64')}`,
  'Sec-WebSocket-Version: 13',
].join('\r\n');

async function open(
  { port }: DoorHarness,
  target: string,
  headers: Readonly<Record<string, string | undefined>> = {},
): Promise<Upgraded> {
  const upgraded = await openUpgrade({ host: '127.0.0.1', port, target, headers });
  upgraded.socket.on('error', () => undefined);
  return upgraded;
}

async function refusal(harness: DoorHarness, ...args: [string, Record<string, string | undefined>?]) {
  const error: unknown = await open(harness, ...args).then(
    () => 'it was let in',
    (failure: unknown) => failure,
  );
  if (!(error instanceof UpgradeRefusedError)) throw new Error(`not refused: ${String(error)}`);
  const { status, headers, body } = error;
  return { status, headers, body: body.trimEnd() };
}

/** Resolves with so many bytes. */
async function read(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  socket.resume();
  for await (const [chunk] of on(socket)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= count) break;
  }
  return Buffer.concat(chunks);
}

async function* on(socket: Socket): AsyncGenerator<[Buffer]> {
  for (;;) yield (await once(socket, 'data')) as [Buffer];
}

const nothingLeft = (harness: DoorHarness): Promise<number> =>
  waitFor(
    'nothing to be left',
    SOON_MS,
    () =>
      harness.pool.count === 0 &&
      harness.door.sessionCount === 0 &&
      harness.upstream.openCount === 0 &&
      harness.jobs.fake.instances.size === 0,
  );

describe('a client', () => {
  test('is led to a container of its own, byte for byte, and takes it along when it goes', async () => {
    const harness = await startDoor();
    const { socket, head } = await open(harness, '/ws?controller=rosco&proc=DISCON');
    expect(head.headers).toMatchObject({ 'x-controller': 'rosco%402.9.4' });
    const sent = Buffer.from(Array.from({ length: 5 * MIB }, (_, index) => (index * 7) % 251));
    const echoed = read(socket, sent.length);
    socket.write(sent);
    expect((await echoed).equals(sent)).toBe(true);
    expect(harness.door.sessions()).toMatchObject([
      { client: '127.0.0.1', controller: 'rosco@2.9.4', job: expect.any(String) as string },
    ]);
    expect(harness.opened).toEqual(['rosco@2.9.4']);
    socket.resetAndDestroy();
    await nothingLeft(harness);
  });

  test('asks the container for what the catalog says, and shows it nothing of its own but what it must', async () => {
    const harness = await startDoor({
      entries: [{ library_path: '/app/lib a&b.so' }],
      door: { allowedOrigins: ['https://pages.example'] },
      api: { access: { tokens: [{ name: 'ci', scope: 'full', token: 't'.repeat(32) }] } },
    });
    const { socket } = await open(harness, '/ws?path=rosco&proc=other%20one', {
      Authorization: `Bearer ${'t'.repeat(32)}`,
      Cookie: 'session=1',
      Origin: 'https://pages.example',
      'X-Forwarded-Host': 'elsewhere',
      'Sec-WebSocket-Protocol': 'discon.v1',
    });
    const [received] = harness.upstream.heads;
    expect(received?.requestLine).toBe('GET /ws?path=%2Fapp%2Flib+a%26b.so&proc=other+one HTTP/1.1');
    expect(Object.fromEntries(received?.headers ?? [])).toEqual({
      host: `127.0.0.1:${harness.upstream.port}`,
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-key': expect.any(String) as string,
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'discon.v1',
      'user-agent': 'Go-http-client/1.1',
    });
    socket.destroy();
    await nothingLeft(harness);
  });

  test('and its container agree on subprotocol and extensions themselves', async () => {
    const harness = await startDoor();
    harness.upstream.answer = (head) =>
      agree(head, 'Sec-WebSocket-Protocol: b', 'Sec-WebSocket-Extensions: x; y=1', 'Set-Cookie: a=b');
    const { socket, head } = await open(harness, '/ws', { 'Sec-WebSocket-Protocol': 'a, b' });
    expect(head.headers).toMatchObject({
      'sec-websocket-protocol': 'b',
      'sec-websocket-extensions': 'x; y=1',
    });
    expect(head.headers).not.toHaveProperty('set-cookie');
    socket.destroy();
    await nothingLeft(harness);
  });

  test('is answered only once its container has answered; what it says too early is not lost', async () => {
    const harness = await startDoor();
    let answered = false;
    harness.upstream.answer = (head) => {
      setTimeout(() => {
        answered = true;
        agree(head);
        head.socket.write('first');
        head.socket.pipe(head.socket);
      }, 200);
    };
    const socket = connect(harness.port, '127.0.0.1');
    let reply = '';
    socket.on('data', (chunk: Buffer) => (reply += chunk.toString('latin1')));
    socket.write(`GET /ws HTTP/1.1\r\nHost: x\r\n${HANDSHAKE}\r\n\r\nearly`);
    await waitFor('the echo', SOON_MS, () => reply.endsWith('early'));
    expect(answered).toBe(true);
    expect(reply).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\nfirstearly$/);
    const [session] = harness.door.sessions();
    const closed = once(socket, 'close');
    expect(harness.door.closeSession(session?.id ?? '')).toBe(true);
    await closed;
    await waitFor('the end', SOON_MS, () => harness.door.sessionCount === 0);
    expect(harness.door.closeSession(session?.id ?? '')).toBe(false);
    await nothingLeft(harness);
  });

  test.each(['end', 'resetAndDestroy'] as const)(
    'that leaves before it has its answer leaves nothing behind: %s',
    async (leave) => {
      const harness = await startDoor();
      using hang = harness.jobs.fake.hang('start');
      const socket = connect(harness.port, '127.0.0.1');
      socket.write(`GET /ws HTTP/1.1\r\nHost: x\r\n${HANDSHAKE}\r\n\r\n`);
      await waitFor('the start', SOON_MS, () => harness.jobs.fake.calls.start === 1);
      socket[leave]();
      await waitFor(
        'it to be given up',
        SOON_MS,
        () => harness.jobs.log.live().next().value?.desire === 'cancel',
      );
      hang[Symbol.dispose]();
      await nothingLeft(harness);
      expect(harness.opened).toEqual([]);
      expect(harness.refused).toEqual([]);
    },
  );
});

test('many at once, with pieces of every length, each get back what they sent and nothing else', async () => {
  const harness = await startDoor({ pool: { maxInstances: 40 }, entries: [{ max_instances: 40 }] });
  const sessions = Array.from({ length: 20 }, async (_, index) => {
    const { socket, rest } = await open(harness, '/ws');
    const [sent, received] = [createHash('sha256'), createHash('sha256').update(rest)];
    let [sentBytes, receivedBytes] = [0, rest.length];
    socket.on('data', (chunk: Buffer) => {
      received.update(chunk);
      receivedBytes += chunk.length;
    });
    socket.resume();
    // Some wait for each answer, some pile up.
    for (let piece = 0; piece < 60; piece += 1) {
      const bytes = randomBytes(1 + ((piece * 7_919 + index * 104_729) % 150_000));
      sent.update(bytes);
      sentBytes += bytes.length;
      socket.write(bytes);
      if (index % 3 === 0) await waitFor('the echo', SOON_MS, () => receivedBytes === sentBytes);
    }
    await waitFor('the last echo', SOON_MS, () => receivedBytes === sentBytes);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    socket.destroy();
  });
  await Promise.all(sessions);
  await nothingLeft(harness);
});

describe('when one side goes', () => {
  test('the other gets what was on its way, and is closed: the container', async () => {
    const harness = await startDoor();
    harness.upstream.answer = (head) => {
      agree(head);
      head.socket.end(Buffer.alloc(2 * MIB, 1));
    };
    const { socket, rest } = await open(harness, '/ws');
    let bytes = rest.length;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    socket.resume();
    await once(socket, 'end');
    expect(bytes).toBe(2 * MIB);
    socket.end();
    await nothingLeft(harness);
  });

  test('the other gets what was on its way, and is closed: the client', async () => {
    const harness = await startDoor();
    let bytes = 0;
    let hasEnded = false;
    harness.upstream.answer = (head) => {
      agree(head);
      head.socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      head.socket.on('end', () => (hasEnded = true));
    };
    const { socket } = await open(harness, '/ws');
    socket.end(Buffer.alloc(2 * MIB, 1));
    await waitFor('its end', SOON_MS, () => hasEnded);
    expect(bytes).toBe(2 * MIB);
    await nothingLeft(harness);
  });

  test('a container in the middle of a long word to its client is let go as soon as that has gone', async () => {
    const harness = await startDoor();
    harness.upstream.answer = (head) => {
      agree(head);
      head.socket.end(Buffer.alloc(32 * MIB, 1));
    };
    const { socket } = await open(harness, '/ws');
    let before = 0;
    await waitFor('nothing more to fit', SOON_MS, async () => {
      const { sentBytes = 0 } = harness.door.sessions()[0] ?? {};
      const isFull = sentBytes > MIB && sentBytes === before;
      before = sentBytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isFull;
    });
    const startedMs = performance.now();
    socket.destroy();
    await nothingLeft(harness);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  test('a container that is reset ends its client promptly', async () => {
    const harness = await startDoor();
    const { socket } = await open(harness, '/ws');
    const closed = once(socket, 'end');
    const startedMs = performance.now();
    harness.upstream.heads[0]?.socket.resetAndDestroy();
    socket.resume();
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    socket.end();
    await nothingLeft(harness);
  });

  test('a container that dies ends its client, though its socket says nothing', async () => {
    const harness = await startDoor();
    const { socket } = await open(harness, '/ws');
    const closed = once(socket, 'end');
    socket.resume();
    const [id] = harness.jobs.fake.instances.keys();
    if (id === undefined) throw new Error('one runs');
    harness.jobs.fake.exit(id, 137);
    await closed;
    socket.end();
    await nothingLeft(harness);
  });

  test('a client that is silent is let be, unless it is said how long it may be', async () => {
    const harness = await startDoor({ door: { maxSilenceMs: 400 } });
    const [talks, silent] = [await open(harness, '/ws'), await open(harness, '/ws')];
    talks.socket.resume();
    silent.socket.resume();
    const timer = setInterval(() => talks.socket.write('x'), 50);
    onTestFinished(() => clearInterval(timer));
    await once(silent.socket, 'end');
    silent.socket.end();
    expect(talks.socket.readableEnded).toBe(false);
    clearInterval(timer);
    await once(talks.socket, 'end');
    talks.socket.end();
    await nothingLeft(harness);
  });

  test('who does not read stops the other side, and memory stays as it is', async () => {
    const harness = await startDoor();
    let written = 0;
    harness.upstream.answer = (head) => {
      agree(head);
      const chunk = Buffer.alloc(64 * 1024);
      const flood = (): void => {
        while (head.socket.writable && written < 512 * MIB) {
          written += chunk.length;
          if (!head.socket.write(chunk)) break;
        }
      };
      head.socket.on('drain', flood);
      flood();
    };
    const { socket } = await open(harness, '/ws');
    socket.pause();
    let before = -1;
    await waitFor('the flood to stand still', SOON_MS, async () => {
      const isStill = before === written;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return isStill && before === written;
    });
    // What the kernel holds for four ends of two connections, and a little of ours.
    expect(written).toBeLessThan(64 * MIB);
    const view = harness.door.sessions()[0];
    expect(view?.sentBytes).toBeLessThan(64 * MIB);
    socket.destroy();
    await nothingLeft(harness);
  });
});

test('a session is ended even where neither side reads', async () => {
  const harness = await startDoor();
  harness.upstream.answer = (head) => {
    agree(head);
    head.socket.pause();
    head.socket.write(Buffer.alloc(32 * MIB));
  };
  const { socket } = await open(harness, '/ws');
  socket.pause();
  socket.write(Buffer.alloc(32 * MIB));
  await waitFor('both to be stuck', SOON_MS, () => socket.writableLength > 0);
  await harness.door.drain(0, new AbortController().signal);
  expect(harness.door.sessionCount).toBe(0);
  socket.destroy();
  harness.upstream.heads[0]?.socket.destroy();
  await nothingLeft(harness);
});

describe('before the 101 a client is refused with a status and the reason', () => {
  test.each([
    ['/ws?controller=nope', 400, 'Controller not found: nope'],
    ['/ws?version=9.9', 400, 'Controller version not found: 9.9'],
    ['/ws?controller=%zz', 400, 'Error parsing query parameters: invalid URL escape "%zz"'],
    ['/ws?proc=a%0d%0aX', 400, 'Error parsing query parameters: proc holds a control character'],

    ['/ws?job=7', 400, 'job is no id of a job: 7'],
    [
      '/ws?job=01900000-0000-7000-8000-000000000000',
      409,
      'job 01900000-0000-7000-8000-000000000000 is not known on this node; its container must run here',
    ],
  ])('%s', async (target, status, text) => {
    const harness = await startDoor();
    expect(await refusal(harness, target)).toMatchObject({
      status,
      body: text,
      headers: { 'content-type': 'text/plain; charset=utf-8', connection: 'close' },
    });
    expect(harness.refused).toEqual([status]);
    expect(harness.jobs.fake.calls.create).toBe(0);
  });

  test('a URL that is too long: 414', async () => {
    const harness = await startDoor();
    expect(await refusal(harness, `/ws?path=${'x'.repeat(5_000)}`)).toMatchObject({
      status: 414,
      body: 'the URL is longer than 4096 bytes',
    });
  });

  test('no controllers: 500', async () => {
    const harness = await startDoor({ entries: [] });
    expect(await refusal(harness, '/ws')).toMatchObject({ status: 500, body: 'No controllers available' });
  });

  test.each([
    ['another version', { 'Sec-WebSocket-Version': '8' }, 426, 'Sec-WebSocket-Version must be 13'],
    ['no key', { 'Sec-WebSocket-Key': undefined }, 400, 'Sec-WebSocket-Key must be 16 bytes in base64'],
    ['half a key', { 'Sec-WebSocket-Key': 'YWJj' }, 400, 'Sec-WebSocket-Key must be 16 bytes in base64'],
    [
      'two protocols at once',
      { Upgrade: 'websocket, h2c' },
      400,
      'Upgrade must be websocket, and nothing else',
    ],
    ['a body', { 'Content-Length': '3' }, 400, expect.stringContaining('body') as string],
    [
      'a web page',
      { Origin: 'https://evil.example' },
      403,
      expect.stringContaining('frontdoor.allowed_origins') as string,
    ],
  ])('%s', async (_what, headers, status, text) => {
    const harness = await startDoor();
    expect(await refusal(harness, '/ws', headers)).toMatchObject({ status, body: text });
    expect(harness.jobs.fake.calls.create).toBe(0);
  });

  test('a container that refuses: in its own words, and it is gone', async () => {
    const harness = await startDoor();
    harness.upstream.answer = ({ socket }) => {
      const body = 'Error loading function from shared library\n';
      const fields = `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close`;
      socket.end(`HTTP/1.1 500 Internal Server Error\r\n${fields}\r\n\r\n${body}`);
    };
    expect(await refusal(harness, '/ws')).toMatchObject({
      status: 500,
      body: 'Error loading function from shared library',
    });
    await nothingLeft(harness);
  });

  test.each([
    ['never answers', () => undefined, 504, 'the controller gave no answer within 300 ms'],
    [
      'answers with garbage',
      ({ socket }: { socket: Socket }) => socket.end('garbage\r\n\r\n'),
      502,
      expect.stringContaining('cannot be reached') as string,
    ],
    [
      'breaks off in the middle of an answer',
      ({ socket }: { socket: Socket }) => socket.end('HTTP/1.1 101 Switching'),
      502,
      expect.stringContaining('cannot be reached') as string,
    ],
    [
      'answers 200',
      ({ socket }: { socket: Socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
      502,
      'the controller answered 200, not with a WebSocket',
    ],
    [
      'agrees to something else',
      ({ socket }: { socket: Socket }) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'),
      502,
      'the controller answered with something that is no WebSocket',
    ],
    [
      'sends a head without end',
      ({ socket }: { socket: Socket }) => socket.write(`HTTP/1.1 101 X\r\nX: ${'y'.repeat(MIB)}`),
      502,
      expect.stringContaining('cannot be reached') as string,
    ],
  ])('a container that %s', async (_what, answer, status, text) => {
    const harness = await startDoor({ door: { handshakeTimeoutMs: 300 } });
    harness.upstream.answer = answer;
    expect(await refusal(harness, '/ws')).toMatchObject({ status, body: text });
    await nothingLeft(harness);
  });

  test('an image that is not there', async () => {
    const harness = await startDoor({ entries: [{ image: 'absent' }] });
    expect(await refusal(harness, '/ws')).toMatchObject({
      status: 502,
      body: expect.stringMatching(/^the instance did not start: /) as string,
    });
    await nothingLeft(harness);
  });

  test('too many: when to come again', async () => {
    const harness = await startDoor({ door: { maxSessions: 1 }, pool: { maxInstances: 1, maxWaiting: 0 } });
    const { socket } = await open(harness, '/ws');
    const busy = await refusal(harness, '/ws');
    expect(busy).toMatchObject({
      status: 503,
      body: expect.stringContaining('frontdoor.max_sessions') as string,
    });
    expect(Number(busy.headers['retry-after'])).toBeGreaterThan(0);
    socket.destroy();
    await nothingLeft(harness);
  });

  test('a node that stops', async () => {
    const harness = await startDoor();
    const { socket } = await open(harness, '/ws');
    socket.resume();
    const ended = once(socket, 'end');
    const drained = harness.door.drain(300, new AbortController().signal);
    expect(await refusal(harness, '/ws')).toMatchObject({ status: 503 });
    await ended;
    socket.end();
    await drained;
    await nothingLeft(harness);
  });
});

describe('who is let in', () => {
  const FOREIGN = { access: { trustedNetworks: [] }, listenAddress: '0.0.0.0' };
  const TOKEN = 's'.repeat(32);
  const token = (scope: 'full' | 'read') => ({
    access: { tokens: [{ name: 'ci', scope, token: TOKEN }] },
  });

  test('a client behind a proxy is not on this host', async () => {
    const harness = await startDoor({ api: FOREIGN });
    expect(await refusal(harness, '/ws', { 'X-Forwarded-For': '203.0.113.7' })).toMatchObject({
      status: 401,
      body: expect.stringContaining('frontdoor.allowed_networks') as string,
    });
  });

  test('a token of full scope opens, one that only reads does not, a wrong one does not either', async () => {
    const harness = await startDoor({ api: token('full') });
    const { socket } = await open(harness, '/ws', { Authorization: `Bearer ${TOKEN}` });
    socket.destroy();
    expect(await refusal(harness, '/ws', { Authorization: 'Bearer wrong' })).toMatchObject({ status: 401 });
    await nothingLeft(harness);
    const reader = await startDoor({ api: token('read') });
    expect(await refusal(reader, '/ws', { Authorization: `Bearer ${TOKEN}` })).toMatchObject({ status: 403 });
  });
});

describe('other requests', () => {
  test('a wish to upgrade to something else, or elsewhere, is passed over', async () => {
    const harness = await startDoor();
    const upgrade = { Connection: 'Upgrade' };
    expect(await http(harness.port, '/health', { headers: { ...upgrade, Upgrade: 'h2c' } })).toMatchObject({
      status: 200,
    });
    expect(
      await http(harness.port, '/health', { headers: { ...upgrade, Upgrade: 'websocket' } }),
    ).toMatchObject({ status: 200 });
  });
});
