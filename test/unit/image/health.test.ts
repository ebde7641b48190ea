import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

interface Verdict {
  readonly code: number;
  readonly output: string;
}

/** What the image's health check says with these variables. */
function check(env: Record<string, string>): Promise<Verdict> {
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  execFile(process.execPath, ['cmd/image/health.mjs'], { env, timeout: 10_000 }, (error, stdout) =>
    resolve({ code: error === null ? 0 : Number(error.code), output: stdout }),
  );
  return promise;
}

async function portOf(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return String((server.address() as AddressInfo).port);
}

const answering =
  (status: number, body: string): RequestListener =>
  (request, response) => {
    response.writeHead(request.url === '/ready' ? status : 404).end(body);
  };

test('a node that takes work is healthy', async () => {
  const port = await portOf(createServer(answering(200, 'ready')));
  expect(await check({ CONTAINER_MANAGER_PORT: port })).toEqual({ code: 0, output: 'ready' });
});

test('one that takes none is not, and why is shown', async () => {
  const port = await portOf(createServer(answering(503, 'the engine is away')));
  expect(await check({ CONTAINER_MANAGER_PORT: port })).toEqual({ code: 1, output: 'the engine is away' });
});

test('one that does not answer is not', async () => {
  const server = createServer();
  const port = await portOf(server);
  server.close();
  await once(server, 'close');
  const { code, output } = await check({ CONTAINER_MANAGER_PORT: port });
  expect(code).toBe(1);
  expect(output).toContain('ECONNREFUSED');
});

test('one behind TLS is asked over TLS, whatever name its certificate has', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cm-health-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  execFileSync(
    'openssl',
    // prettier-ignore
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
      '-subj', '/CN=node.example', '-keyout', keyFile, '-out', certFile],
    { stdio: 'ignore' },
  );
  const options = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const port = await portOf(createTlsServer(options, answering(200, 'ready')));
  const env = { CONTAINER_MANAGER_PORT: port, CONTAINER_MANAGER_TLS_CERT_FILE: certFile };
  expect(await check(env)).toEqual({ code: 0, output: 'ready' });
});
