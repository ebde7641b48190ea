import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { raw, startApi, until } from './api-harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'api-tls-'));
afterAll(() => rmSync(dir, { recursive: true }));
execFileSync(
  'openssl',
  // prettier-ignore
  ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
  { stdio: 'ignore' },
);
const tls = { key: readFileSync(join(dir, 'key.pem')), cert: readFileSync(join(dir, 'cert.pem')) };

test('over TLS a client is served, and let go at the end', async () => {
  const { server, port } = await startApi({ tls });
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'QueueService.Stats' });
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const sent = request({ host: 'localhost', port, path: '/jrpc', method: 'POST', headers, ca: tls.cert });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  expect(JSON.parse(text)).toMatchObject({ id: 1, result: { paused: false } });
  const startedAtMs = performance.now();
  await server.close({ graceMs: 20_000 });
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
});

test('without TLS nothing is answered there', async () => {
  const { port } = await startApi({ tls });
  expect(await raw(port, 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')).not.toMatch(/ 200 /);
});

test('who never begins the handshake is let go, in time and at the end', async () => {
  const open = (port: number): { isClosed: () => boolean } => {
    const socket = connect(port, '127.0.0.1').resume();
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    return { isClosed: () => socket.closed };
  };
  const short = await startApi({ tls, limits: { headersTimeoutMs: 200 } });
  const first = open(short.port);
  // Not only after the 5 s that are the default.
  await until('the server let go', first.isClosed, 4_000);
  const long = await startApi({ tls, limits: { headersTimeoutMs: 60_000, requestTimeoutMs: 60_000 } });
  const second = open(long.port);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await long.server.close({ graceMs: 100 });
  await until('the server let go', second.isClosed);
});
