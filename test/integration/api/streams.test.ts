import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test } from 'vitest';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import type { LogChunk } from '../../../src/runtime/driver.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { PATIENCE } from '../../support/patience.ts';
import { http, received, rpc, startApi, until } from './api-harness.ts';
import type { RunningApi } from './api-harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What a client leaves out, as it is read. */
const SPEC = jobSpecSchema.parse({ image: 'nginx' });

interface OpenStream {
  readonly response: IncomingMessage;
  readonly text: () => string;
  readonly hasEnded: () => boolean;
  readonly leave: () => void;
}

/** Opens a stream and reads it as it comes. */
async function open(port: number, path: string, headers: Record<string, string> = {}): Promise<OpenStream> {
  const sent = request({ port, path, headers, agent: false });
  sent.on('error', () => undefined);
  onTestFinished(() => void sent.destroy());
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  let hasEnded = false;
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  response.on('error', () => undefined);
  response.once('end', () => (hasEnded = true));
  return { response, text: () => text, hasEnded: () => hasEnded, leave: () => sent.destroy() };
}

async function created(api: RunningApi): Promise<string> {
  const { result } = await rpc(api.port, 'ContainerService.Create', { image: 'nginx' });
  return result?.['job_id'] as string;
}

function framesOf(text: string): { id: string | undefined; event: string | undefined; data: unknown }[] {
  const frames = text.split('\n\n').filter((frame) => frame.includes('data: '));
  return frames.map((frame) => ({
    id: /^id: (.*)$/m.exec(frame)?.[1],
    event: /^event: (.*)$/m.exec(frame)?.[1],
    data: JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? 'null') as unknown,
  }));
}

describe('GET /v1/events', () => {
  test('tells of every change from the moment the head is there', async () => {
    const api = await startApi();
    const stream = await open(api.port, '/v1/events');
    expect(stream.response.headers['content-type']).toBe('text/event-stream');
    const job_id = await created(api);
    api.jobs.move(job_id, 'running');
    await until('both changes', () => framesOf(stream.text()).length === 2);
    expect(framesOf(stream.text())).toMatchObject([
      { id: '1-1', event: 'job', data: { id: '1-1', job_id, type: 'pending', attempt: 1 } },
      { id: '1-2', event: 'job', data: { type: 'running' } },
    ]);
  });

  test.each(['header', 'query'])('goes on after the event named in the %s', async (place) => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.move(job_id, 'starting');
    api.jobs.move(job_id, 'running');
    const stream =
      place === 'header'
        ? await open(api.port, '/v1/events', { 'last-event-id': '1-1' })
        : await open(api.port, '/v1/events?last_event_id=1-1');
    await until('what was missed', () => framesOf(stream.text()).length === 2);
    expect(framesOf(stream.text()).map(({ id }) => id)).toEqual(['1-2', '1-3']);
  });

  test.each(['1-1', '7-1'])('after %s, which is kept no more, begins anew and says so', async (lastId) => {
    const api = await startApi({ jobs: { keptEvents: 2 } });
    const job_id = await created(api);
    for (const state of ['pulling', 'starting', 'running'] as const) api.jobs.move(job_id, state);
    const stream = await open(api.port, '/v1/events', { 'last-event-id': lastId });
    await until('the reset', () => framesOf(stream.text()).length === 1);
    api.jobs.move(job_id, 'stopping');
    await until('the change', () => framesOf(stream.text()).length === 2);
    expect(framesOf(stream.text()).map(({ event, id }) => [event, id])).toEqual([
      ['reset', undefined],
      ['job', '1-5'],
    ]);
  });

  test('an id that is none is refused', async () => {
    const { port } = await startApi();
    expect((await http(port, '/v1/events', { headers: { 'last-event-id': 'x' } })).status).toBe(400);
  });

  test('a quiet stream shows that it lives', async () => {
    const { port } = await startApi({ limits: { heartbeatMs: 20 } });
    const stream = await open(port, '/v1/events');
    await until('three heartbeats', () => stream.text().split(': heartbeat').length > 3);
  });

  test('the subscription ends when the client leaves', async () => {
    const api = await startApi();
    const stream = await open(api.port, '/v1/events');
    expect(api.jobs.subscribers).toBe(1);
    stream.leave();
    await until('it was closed', () => api.jobs.subscribers === 0 && api.openStreams() === 0);
  });

  test('there is one stream too many, and room again afterwards', async () => {
    const api = await startApi({ limits: { maxStreams: 2 } });
    const first = await open(api.port, '/v1/events');
    await open(api.port, '/v1/events');
    const refused = await http(api.port, '/v1/events');
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('5');
    expect(JSON.parse(refused.text)).toMatchObject({
      reason: 'too_many_streams',
      details: { max_streams: 2 },
    });
    first.leave();
    await until('a place is free', () => api.openStreams() === 1);
    expect((await open(api.port, '/v1/events')).response.statusCode).toBe(200);
  });

  test('a client that takes nothing is dropped', async () => {
    const api = await startApi({ limits: { stallTimeoutMs: 200 } });
    const sent = request({ port: api.port, path: '/v1/events', agent: false });
    sent.on('error', () => undefined);
    onTestFinished(() => void sent.destroy());
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.on('error', () => undefined).pause();
    const job_id = await created(api);
    const outcome = { reason: 'exited', message: 'x'.repeat(50_000), retryable: false } as const;
    const flood = setInterval(() => {
      for (let count = 0; count < 20; count += 1) api.jobs.move(job_id, 'running', outcome);
    }, 5);
    onTestFinished(() => clearInterval(flood));
    await until('the server let go', () => api.jobs.subscribers === 0 && api.openStreams() === 0);
  });
});

describe('GET /v1/jobs/{id}/logs', () => {
  const chunk = (stream: LogChunk['stream'], text: string): LogChunk => ({ stream, data: Buffer.from(text) });

  test('gives the bytes as they came', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.logSource = async function* () {
      yield chunk('stdout', 'one\ntw');
      yield chunk('stderr', 'bad\n');
      yield { stream: 'stdout', data: Buffer.from([0x6f, 0x0a]) };
    };
    const reply = await http(
      api.port,
      `/v1/jobs/${job_id}/logs?tail=5&timestamps&since=2026-01-01T00:00:00Z`,
    );
    expect(reply).toMatchObject({ status: 200, text: 'one\ntwbad\no\n' });
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(api.jobs.logOptions[0]).toMatchObject({
      tail: 5,
      timestamps: true,
      follow: false,
      sinceMs: Date.UTC(2026, 0, 1),
    });
  });

  test('or line by line, each with its stream', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.logSource = async function* () {
      yield chunk('stdout', 'one\ntw');
      yield chunk('stderr', 'bad\r\n');
      yield chunk('stdout', 'o\nrest');
    };
    const reply = await http(api.port, `/v1/jobs/${job_id}/logs`, {
      headers: { accept: 'application/x-ndjson' },
    });
    expect(reply.headers['content-type']).toBe('application/x-ndjson');
    expect(
      reply.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { stream: 'stdout', line: 'one' },
      { stream: 'stderr', line: 'bad' },
      { stream: 'stdout', line: 'two' },
      { stream: 'stdout', line: 'rest' },
    ]);
  });

  test('with follow, a line comes as it is written', async () => {
    const api = await startApi();
    const job_id = await created(api);
    const gate = Promise.withResolvers<void>();
    api.jobs.logSource = async function* () {
      yield chunk('stdout', 'first\n');
      await gate.promise;
      yield chunk('stdout', 'second\n');
    };
    const stream = await open(api.port, `/v1/jobs/${job_id}/logs?follow`);
    await until('the first line', () => stream.text() === 'first\n');
    gate.resolve();
    await until('the end', stream.hasEnded);
    expect(stream.text()).toBe('first\nsecond\n');
    expect(api.jobs.logOptions[0]?.follow).toBe(true);
  });

  test('the head comes although nothing is written yet', async () => {
    const api = await startApi();
    const job_id = await created(api);
    let isReleased = false;
    api.jobs.logSource = async function* (_id, { signal }) {
      if (signal !== undefined) await once(signal, 'abort');
      isReleased = true;
      yield chunk('stdout', '');
    };
    const stream = await open(api.port, `/v1/jobs/${job_id}/logs?follow`);
    expect(stream.response.statusCode).toBe(200);
    stream.leave();
    await until('the log was let go', () => isReleased);
  });

  test('an unknown job, and an engine that is away, are told as such', async () => {
    const api = await startApi();
    expect((await http(api.port, '/v1/jobs/nope/logs')).status).toBe(404);
    const job_id = await created(api);
    api.jobs.logSource = () => {
      throw new RuntimeError('engine_unavailable', 'no engine answers');
    };
    const reply = await http(api.port, `/v1/jobs/${job_id}/logs`);
    expect(reply.status).toBe(503);
    expect(JSON.parse(reply.text)).toMatchObject({ reason: 'engine_unavailable', retryable: true });
  });

  test('a log that breaks off does not end as if it were whole', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.logSource = async function* () {
      yield chunk('stdout', 'first\n');
      await new Promise((resolve) => setImmediate(resolve));
      throw new RuntimeError('engine_unavailable', 'the connection broke');
    };
    await expect(http(api.port, `/v1/jobs/${job_id}/logs`)).rejects.toThrow('aborted');
  });

  test('a slow reader costs bounded memory, and gets everything', async () => {
    const api = await startApi();
    const job_id = await created(api);
    const CHUNKS = 400;
    let producedCount = 0;
    api.jobs.logSource = async function* () {
      for (; producedCount < CHUNKS; producedCount += 1) {
        yield { stream: 'stdout', data: Buffer.alloc(256 * 1024, 0x61) };
      }
    };
    const sent = request({ port: api.port, path: `/v1/jobs/${job_id}/logs`, agent: false });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.pause();
    // The server fills the sockets' buffers, and stops asking for more.
    let before = -1;
    while (producedCount !== before) {
      before = producedCount;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(producedCount).toBeLessThan(CHUNKS / 4);
    // What is not held any more is freed by another thread, a little later.
    const heldBytes = (): number => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    await expect.poll(heldBytes, PATIENCE).toBeLessThan(16 * 1024 * 1024);
    let receivedBytes = 0;
    for await (const piece of response) receivedBytes += (piece as Buffer).length;
    expect(receivedBytes).toBe(CHUNKS * 256 * 1024);
  });

  test('HEAD begins no stream', async () => {
    const api = await startApi();
    const job_id = await created(api);
    expect((await http(api.port, `/v1/jobs/${job_id}/logs?follow`, { method: 'HEAD' })).status).toBe(200);
    expect((await http(api.port, '/v1/events', { method: 'HEAD' })).status).toBe(200);
    expect(api.jobs.logOptions).toEqual([]);
    expect(api.jobs.subscribers).toBe(0);
  });
});

describe('a reply of many megabytes', () => {
  async function askForMuch(api: RunningApi): Promise<Socket> {
    const labels = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [`l${index}`, 'x'.repeat(1000)]),
    );
    for (let count = 0; count < 1000; count += 1) {
      await api.jobs.create({ ...SPEC, labels }, 'local');
    }
    const socket = connect(api.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'JobService.List',
      params: { limit: 1000 },
    });
    socket.pause().on('error', () => undefined);
    socket.write(
      `POST /jrpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  }

  test('is cut off when its client takes nothing', async () => {
    const api = await startApi({ limits: { stallTimeoutMs: 200 } });
    const socket = await askForMuch(api);
    await until('the reply', () => api.rpcCalls.length === 1);
    // Ten times what the server waits.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const text = received(socket);
    socket.resume();
    expect((await text).length).toBeLessThan(8_000_000);
  });

  test('arrives whole when its client reads slowly', async () => {
    // A busy machine adds to each pause; they must not come near what is taken for a stall.
    const api = await startApi({ limits: { stallTimeoutMs: 4_000 } });
    const socket = await askForMuch(api);
    let receivedBytes = 0;
    let hasEnded = false;
    socket.on('data', (data) => (receivedBytes += data.length)).once('close', () => (hasEnded = true));
    for (let pauses = 0; pauses < 12 && !hasEnded; pauses += 1) {
      socket.pause();
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the end', () => hasEnded);
    expect(receivedBytes).toBeGreaterThan(8_000_000);
  });
});
