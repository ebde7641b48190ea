import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PATIENCE } from '../../support/patience.ts';
import { http, post, raw, received, startApi, until } from './api-harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/**
 * Rounds of a measurement of which the best counts: what else the machine does can only add to a time. What makes a
 * node slow does so in each of them.
 */
const MAX_ROUNDS = 4;

/** Stops the thread for a moment, so that the one that frees memory has its turn and nothing new arrives. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

const STATS = { jsonrpc: '2.0', id: 1, method: 'QueueService.Stats' };

/** A call whose body is exactly so long. */
function bodyOf(bytes: number): string {
  const text = JSON.stringify(STATS);
  return text + ' '.repeat(bytes - text.length);
}

/** Sends chunks until it is answered. */
const ENDLESS_CLIENT = `
  const { parentPort, workerData } = require('node:worker_threads');
  const socket = require('node:net').connect(workerData.port, '127.0.0.1');
  const piece = Buffer.concat([Buffer.from('10000\\r\\n'), Buffer.alloc(0x10000, 0x20), Buffer.from('\\r\\n')]);
  const send = () => { while (socket.writable && socket.write(piece)); };
  socket.on('drain', send).on('error', () => undefined);
  let answer = '';
  socket.on('data', (data) => (answer += data)).on('close', () => parentPort.postMessage({ text: answer, sentBytes: socket.bytesWritten }));
  socket.write('POST /jrpc HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n');
  send();
`;

/** Posts the same body a hundred times at once. */
const BULK_CLIENT = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { port, body } = workerData;
  const bytes = Buffer.from(body);
  const post = () => new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': bytes.length };
    const request = require('node:http').request({ port, path: '/jrpc', method: 'POST', headers, agent: false });
    request.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode)));
    request.on('error', reject);
    request.end(bytes);
  });
  Promise.all(Array.from({ length: 100 }, post)).then((statuses) => parentPort.postMessage(statuses));
`;

function head(lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

async function open(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect(port, host);
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('the body', () => {
  const LIMIT = 1024 * 1024;

  test.each([
    [LIMIT - 1, 200],
    [LIMIT, 200],
    [LIMIT + 1, 413],
    [10 * LIMIT, 413],
  ])('of %i bytes with a length gets %i', async (bytes, status) => {
    const { port } = await startApi();
    const reply = await post(port, bodyOf(bytes));
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.text)).toMatchObject(
      status === 200 ? { result: {} } : { error: { code: -32600 } },
    );
  });

  test.each([
    [LIMIT - 1, 200],
    [LIMIT, 200],
    [LIMIT + 1, 413],
  ])('of %i bytes in chunks gets %i', async (bytes, status) => {
    const { port } = await startApi();
    const reply = await post(port, bodyOf(bytes), { 'transfer-encoding': 'chunked' });
    expect(reply.status).toBe(status);
    expect(reply.headers.connection).toBe('close');
  });

  test('A7: one that is too long is not kept', async () => {
    const { port } = await startApi();
    /** What is thrown away is freed by another thread, a little later: looks until it is so little, or for long. */
    const heldBytes = (enoughBytes: number, maxTries = 200): number => {
      let leastBytes = Number.POSITIVE_INFINITY;
      for (let tries = 0; tries < maxTries && leastBytes >= enoughBytes; tries += 1) {
        if (tries > 0) pause();
        collectGarbage();
        leastBytes = Math.min(leastBytes, process.memoryUsage().arrayBuffers);
      }
      return leastBytes;
    };
    const maxBytes = 4 * LIMIT;
    /** Sends for as long as it is let; gives how much that was, and the most that was held meanwhile. */
    const sendMuch = async (): Promise<{ sentBytes: number; mostBytes: number }> => {
      const beforeBytes = heldBytes(0, 20);
      // The client has a thread of its own, so that what it holds is not counted.
      const client = new Worker(ENDLESS_CLIENT, { eval: true, workerData: { port } });
      onTestFinished(async () => void (await client.terminate()));
      let answer: { text: string; sentBytes: number } | undefined;
      client.once('message', (message: typeof answer) => (answer = message));
      let mostBytes = 0;
      let lookedAtMs = 0;
      await until('the answer', () => {
        // Looking takes long, and there must be time left to send much.
        if (performance.now() - lookedAtMs > 50) {
          mostBytes = Math.max(mostBytes, heldBytes(beforeBytes + maxBytes) - beforeBytes);
          lookedAtMs = performance.now();
        }
        return answer !== undefined;
      });
      expect(answer?.text).toMatch(/^HTTP\/1.1 413 /);
      return { sentBytes: answer?.sentBytes ?? 0, mostBytes };
    };
    const rounds = [await sendMuch()];
    // A busy machine may not get enough through in the second that a client is heard out.
    const isEnough = (): boolean => rounds.some(({ sentBytes }) => sentBytes > 3 * maxBytes);
    while (!isEnough() && rounds.length < MAX_ROUNDS) rounds.push(await sendMuch());
    expect(isEnough()).toBe(true);
    expect(Math.max(...rounds.map(({ mostBytes }) => mostBytes))).toBeLessThan(maxBytes);
  });

  test('A7: a hundred of 1 MiB at once hold nobody up', async () => {
    const { port } = await startApi();
    const body = bodyOf(LIMIT);
    await post(port, body);
    const client = new Worker(BULK_CLIENT, { eval: true, workerData: { port, body } });
    onTestFinished(async () => void (await client.terminate()));
    // The delays of the event loop that this thread makes by itself, in processor time: what else the machine does
    // while it is counted would be counted as well.
    const delaysMs: number[] = [];
    let before = process.threadCpuUsage();
    const probe = setInterval(() => {
      const now = process.threadCpuUsage();
      delaysMs.push((now.user - before.user + now.system - before.system) / 1_000);
      before = now;
    }, 5);
    const [statuses] = (await once(client, 'message')) as [number[]];
    clearInterval(probe);
    expect(statuses).toEqual(Array.from({ length: 100 }, () => 200));
    delaysMs.sort((a, b) => a - b);
    expect(delaysMs[Math.floor(delaysMs.length * 0.99)]).toBeLessThan(100);
  });

  test('a client that asks first is not sent a body for nothing', async () => {
    const { port } = await startApi();
    const ask = async (bytes: number): Promise<string> => {
      const socket = await open(port);
      socket.write(
        head([
          'POST /jrpc HTTP/1.1',
          'Host: localhost',
          'Content-Type: application/json',
          'Expect: 100-continue',
          `Content-Length: ${bytes}`,
        ]),
      );
      const [first] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      return first.toString('latin1');
    };
    expect(await ask(100)).toMatch(/^HTTP\/1.1 100 Continue/);
    expect(await ask(LIMIT + 1)).toMatch(/^HTTP\/1.1 413 /);
  });
});

describe('the head', () => {
  test.each([
    [4095, 404],
    [4096, 404],
    [4097, 414],
  ])('with a URL of %i bytes gets %i', async (bytes, status) => {
    const { port } = await startApi();
    expect((await http(port, `/${'a'.repeat(bytes - 1)}`)).status).toBe(status);
  });

  test.each([
    [99, 200],
    [100, 200],
    [101, 431],
    [1001, 431],
  ])('of %i fields gets %i', async (count, status) => {
    const { port } = await startApi();
    const fields = Array.from({ length: count - 2 }, (_, index) => `X-${index}: 1`);
    const reply = await raw(
      port,
      head(['GET /health HTTP/1.1', 'Host: localhost', 'Connection: close', ...fields]),
    );
    expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  test.each([
    [16_383, 200],
    [16_384, 200],
    [16_385, 431],
    [100_000, 431],
  ])('of %i bytes gets %i', async (bytes, status) => {
    const { port } = await startApi();
    const lines = ['Host: localhost', 'Connection: close', 'X-Long: '];
    const rest = bytes - lines.reduce((total, line) => total + line.length + 2, 0);
    const reply = await raw(
      port,
      head(['GET /health HTTP/1.1', ...lines.slice(0, 2), `${lines[2]}${'a'.repeat(rest)}`]),
    );
    expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  const AMBIGUOUS: readonly [name: string, lines: readonly string[]][] = [
    ['a length and chunks', ['POST /jrpc HTTP/1.1', 'Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['two lengths', ['POST /jrpc HTTP/1.1', 'Content-Length: 3', 'Content-Length: 4']],
    ['an encoding before the chunks', ['POST /jrpc HTTP/1.1', 'Transfer-Encoding: gzip, chunked']],
    [
      'two transfer encodings',
      ['POST /jrpc HTTP/1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
    ],
    ['an unknown encoding', ['POST /jrpc HTTP/1.1', 'Transfer-Encoding: xchunked']],
    ['a GET with a body', ['GET /health HTTP/1.1', 'Content-Length: 3']],
    ['a folded line', ['GET /health HTTP/1.1', 'X-A: 1', ' 2']],
    ['a space before the colon', ['GET /health HTTP/1.1', 'Content-Length : 3']],
    ['two tokens', ['GET /health HTTP/1.1', 'Authorization: Bearer a', 'Authorization: Bearer b']],
  ];

  test.each(AMBIGUOUS)('with %s is refused, and the connection ends', async (_name, lines) => {
    const { port } = await startApi();
    const [first = '', ...rest] = lines;
    const reply = await raw(
      port,
      `${head([first, 'Host: localhost', ...rest])}GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    );
    expect(reply).toMatch(/^HTTP\/1.1 400 /);
    expect(reply.match(/HTTP\/1.1/g)).toHaveLength(1);
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty'])(
    'a field named %s is one like any other',
    async (name) => {
      const { port } = await startApi();
      const reply = await raw(
        port,
        head(['GET /health HTTP/1.1', 'Host: localhost', `${name}: 1`, 'Connection: close']),
      );
      expect(reply).toMatch(/^HTTP\/1.1 200 /);
    },
  );

  test.each([
    '\x16\x03\x01\x02\x00\x01\x00',
    'nonsense\r\n\r\n',
    'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
    '\0\0\0\0',
  ])('bytes that are no request (%j) end their connection only', async (bytes) => {
    const { port } = await startApi();
    expect(await raw(port, bytes)).not.toMatch(/^HTTP\/1.1 2/);
    expect((await http(port, '/health')).status).toBe(200);
  });
});

describe('connections', () => {
  /** Resolves with whether the server kept the connection and answers on it. */
  async function isServed(port: number, host?: string): Promise<boolean> {
    const socket = await open(port, host);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    socket.once('data', () => resolve(true)).once('close', () => resolve(false));
    if (socket.closed) return false;
    socket.write(head(['GET /health HTTP/1.1', 'Host: localhost']));
    return promise;
  }

  test('one more than allowed is refused, and there is room again when one has gone', async () => {
    const { port, refused } = await startApi({ limits: { maxConnections: 5 } });
    const sockets = await Promise.all(Array.from({ length: 4 }, () => open(port)));
    expect(await isServed(port)).toBe(true);
    expect(await isServed(port)).toBe(false);
    expect(refused).toEqual(['connections']);
    sockets[0]?.destroy();
    await expect.poll(() => isServed(port), PATIENCE).toBe(true);
  });

  test('one address gets 64, and loopback as many as there are', async () => {
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    const { port, refused } = await startApi({ listenAddress: '0.0.0.0', access: { mode: 'none' } });
    for (let count = 0; count < 63; count += 1) await open(port, outside);
    expect(await isServed(port, outside)).toBe(true);
    expect(await isServed(port, outside)).toBe(false);
    expect(refused).toEqual(['connections_per_address']);
    for (let count = 0; count < 64; count += 1) await open(port);
    expect(await isServed(port)).toBe(true);
  });

  /** Connects 200 clients that drip their heads, until they are gone; gives the time of others at p99, ms. */
  async function drip(port: number): Promise<number> {
    const slow = await Promise.all(Array.from({ length: 200 }, () => open(port)));
    let openCount = slow.length;
    for (const socket of slow) {
      socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n');
      socket.resume().once('close', () => (openCount -= 1));
    }
    const startedAtMs = performance.now();
    const timer = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write(`X-${Math.random()}: 1\r\n`);
    }, 500);
    onTestFinished(() => clearInterval(timer));
    const tookMs: number[] = [];
    while (openCount > 0) {
      const sentAtMs = performance.now();
      expect((await http(port, '/health')).status).toBe(200);
      tookMs.push(performance.now() - sentAtMs);
      expect(performance.now() - startedAtMs).toBeLessThan(10_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    clearInterval(timer);
    tookMs.sort((a, b) => a - b);
    return tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.POSITIVE_INFINITY;
  }

  test('F4: 200 that drip their heads are gone within 10 s, and hold nobody up', async () => {
    const { port } = await startApi();
    const othersMs = [await drip(port)];
    while (Math.min(...othersMs) >= 250 && othersMs.length < MAX_ROUNDS) othersMs.push(await drip(port));
    expect(Math.min(...othersMs)).toBeLessThan(250);
  });

  test('a body that drips is given up after requestTimeout', async () => {
    const { port } = await startApi({
      limits: { headersTimeoutMs: 300, requestTimeoutMs: 500, connectionsCheckingIntervalMs: 100 },
    });
    const socket = await open(port);
    const answer = received(socket);
    socket.write(
      head([
        'POST /jrpc HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        'Content-Length: 1000',
      ]),
    );
    const drip = setInterval(() => socket.write(' '), 50);
    onTestFinished(() => clearInterval(drip));
    const startedAtMs = performance.now();
    expect(await answer).not.toMatch(/ 200 /);
    // Not only after the 10 s that are the default.
    expect(performance.now() - startedAtMs).toBeLessThan(8_000);
  });

  test('a silent connection is closed', async () => {
    const { port } = await startApi({ limits: { headersTimeoutMs: 200, connectionsCheckingIntervalMs: 50 } });
    const socket = await open(port);
    socket.resume();
    let isClosed = false;
    socket.once('close', () => (isClosed = true));
    // Not only after the 5 s that are the default.
    await until('the server closed it', () => isClosed, 4_000);
  });

  test('a wait longer than requestTimeout is no slow request', async () => {
    const { port, jobs } = await startApi({
      limits: {
        headersTimeoutMs: 300,
        requestTimeoutMs: 400,
        connectionsCheckingIntervalMs: 50,
        keepAliveTimeoutMs: 300,
      },
    });
    const created = JSON.parse(
      (await post(port, { ...STATS, method: 'ContainerService.Create', params: { image: 'x' } })).text,
    ) as { result: { job_id: string } };
    const params = { job_id: created.result.job_id, timeout_ms: 1_500 };
    const reply = await post(port, { ...STATS, method: 'JobService.Wait', params });
    expect(JSON.parse(reply.text)).toMatchObject({ error: { code: -32006 } });
    expect(jobs.size).toBe(1);
  });
});
