import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findEngine } from '../../../../src/runtime/docker/engine-host.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cm-host-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe('findEngine', () => {
  it.each([
    ['unix:///x/y.sock', { socketPath: '/x/y.sock' }],
    ['/x/y.sock', { socketPath: '/x/y.sock' }],
    ['tcp://10.0.0.1', { protocol: 'http', host: '10.0.0.1', port: 2375 }],
    ['tcp://engine:2375', { protocol: 'http', host: 'engine', port: 2375 }],
    ['engine:1234', { protocol: 'http', host: 'engine', port: 1234 }],
    ['http://engine:80', { protocol: 'http', host: 'engine', port: 80 }],
    ['tcp://[::1]:2375', { protocol: 'http', host: '[::1]', port: 2375 }],
    ['https://engine', { protocol: 'https', host: 'engine', port: 2376 }],
  ])('reads %s', async (host, address) => {
    expect(await findEngine(host, {})).toMatchObject(address);
    expect(await findEngine(undefined, { DOCKER_HOST: host })).toMatchObject(address);
  });

  it('takes what it is told before what the environment says', async () => {
    expect(await findEngine('/told', { DOCKER_HOST: 'unix:///env' })).toEqual({ socketPath: '/told' });
  });

  it.each([
    'ssh://me@host',
    'npipe:////./pipe/docker',
    'tcp://',
    'tcp://a b',
    'tcp://me@host',
    'tcp://host/path',
    'tcp://x:99999',
  ])('refuses %s, saying what is possible', async (host) => {
    await expect(findEngine(host, {})).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining('unix:///path') as string,
    });
  });

  it('reads the certificates, and says which is missing', async () => {
    const env = { DOCKER_CERT_PATH: home };
    for (const name of ['ca', 'cert']) await writeFile(join(home, `${name}.pem`), name);
    await expect(findEngine('tcp://engine', env)).rejects.toThrow(/key\.pem/);
    await writeFile(join(home, 'key.pem'), 'key');
    expect(await findEngine('tcp://engine', env)).toEqual({
      protocol: 'https',
      host: 'engine',
      port: 2376,
      ca: 'ca',
      cert: 'cert',
      key: 'key',
    });
  });

  it('passes over a socket file on which nobody listens', async () => {
    const socket = join(home, 'docker.sock');
    await writeFile(socket, '');
    await mkdir(join(home, '.docker/run'), { recursive: true });
    const { socketPath } = (await findEngine(undefined, { HOME: home, XDG_RUNTIME_DIR: home })) as {
      socketPath: string;
    };
    expect(socketPath).toBe('/var/run/docker.sock');
  });
});
