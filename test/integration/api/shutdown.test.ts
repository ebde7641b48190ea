import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { http, post, received, rpc, startApi, until } from './api-harness.ts';

async function created(port: number): Promise<string> {
  const { result } = await rpc(port, 'ContainerService.Create', { image: 'nginx' });
  return result?.['job_id'] as string;
}

/** Far less than the grace of 20 s, and more than a busy machine needs. */
const SOON_MS = 10_000;
/** So that nothing but the end of the server ends a connection soon. */
const PATIENT = { headersTimeoutMs: 60_000, requestTimeoutMs: 60_000, keepAliveTimeoutMs: 60_000 };

const STATS = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'QueueService.Stats' });

describe('an orderly end', () => {
  test('what is under way is answered, and the connection is told that it was the last', async () => {
    const { server, port, jobs } = await startApi();
    const job_id = await created(port);
    const waiting = post(port, { jsonrpc: '2.0', id: 1, method: 'JobService.Wait', params: { job_id } });
    await until('the wait has arrived', () => jobs.waiting === 1);
    const closing = server.close({ graceMs: 20_000 });
    await expect(http(port, '/health')).rejects.toThrow('ECONNREFUSED');
    jobs.move(job_id, 'complete', { reason: 'exited', message: 'exited 0', retryable: false });
    const reply = await waiting;
    expect(reply.status).toBe(200);
    await closing;
  });

  test('streams end at once, each in its own way', async () => {
    const { server, port, jobs } = await startApi();
    const job_id = await created(port);
    jobs.logSource = async function* (_id, { signal }) {
      yield { stream: 'stdout', data: Buffer.from('line\n') };
      if (signal !== undefined) await once(signal, 'abort');
    };
    const texts = ['/v1/events', `/v1/jobs/${job_id}/logs?follow`].map(async (path) => {
      const sent = request({ port, path, agent: new Agent({ keepAlive: true }) }).end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      let text = '';
      for await (const piece of response.setEncoding('utf8')) text += piece as string;
      return text;
    });
    await until('both are open', () => jobs.subscribers === 1 && jobs.logOptions.length === 1);
    const startedAtMs = performance.now();
    await server.close({ graceMs: 20_000 });
    expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
    const [events, logs] = await Promise.all(texts);
    expect(events).toMatch(/: the node is stopping\n\n$/);
    expect(logs).toBe('line\n');
  });

  test('idle and silent connections do not hold it up', async () => {
    const { server, port } = await startApi({ limits: PATIENT });
    const silent = connect(port, '127.0.0.1');
    const kept = connect(port, '127.0.0.1');
    for (const socket of [silent, kept]) {
      socket.on('error', () => undefined);
      onTestFinished(() => void socket.destroy());
    }
    kept.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(kept, 'data');
    const startedAtMs = performance.now();
    await server.close({ graceMs: 20_000 });
    expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
  });

  test.each(['the grace is over', 'the signal says so'])('what hangs is destroyed when %s', async (why) => {
    const { server, port, jobs } = await startApi();
    const job_id = await created(port);
    const waiting = post(port, { jsonrpc: '2.0', id: 1, method: 'JobService.Wait', params: { job_id } });
    const failed = expect(waiting).rejects.toThrow(/socket hang up|ECONNRESET/);
    await until('the wait has arrived', () => jobs.waiting === 1);
    const abort = new AbortController();
    const startedAtMs = performance.now();
    const isByTime = why === 'the grace is over';
    const closing = server.close({ graceMs: isByTime ? 300 : 20_000, signal: abort.signal });
    if (!isByTime) abort.abort();
    await closing;
    expect(performance.now() - startedAtMs).toBeLessThan(SOON_MS);
    await failed;
    await until('the wait was given up', () => jobs.abandonedWaits === 1);
  });

  test('a request that a kept connection is just bringing is still answered', async () => {
    const { server, port } = await startApi();
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'data');
    const closing = server.close({ graceMs: 5_000 });
    const answer = received(socket);
    socket.write(
      `POST /jrpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${STATS.length}\r\n\r\n${STATS}`,
    );
    expect(await answer).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*Connection: close\r\n[^]*"result"/);
    await closing;
  });

  test('closing twice, and before listening, is fine', async () => {
    const { server } = await startApi();
    await Promise.all([server.close({ graceMs: 10 }), server.close({ graceMs: 10 })]);
    await server.close({ graceMs: 10 });
  });

  test('a port that is taken is said to be', async () => {
    const { port } = await startApi();
    const { createApiServer } = await import('../../../src/api/server.ts');
    const { OPEN_TO_LOOPBACK } = await import('./api-harness.ts');
    const { jobs } = await startApi();
    const second = createApiServer({ listenAddress: '127.0.0.1', port, access: OPEN_TO_LOOPBACK }, {
      jobs,
      clock: { wallMs: Date.now },
    } as unknown as Parameters<typeof createApiServer>[1]);
    await expect(second.listen()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
