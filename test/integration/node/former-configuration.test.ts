import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireDocker } from '../../support/docker.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';

const SOON_MS = 20_000;
const SECRET = 'canary-of-an-environment';

/** As discon-manager wrote it. */
const DATABASE = {
  controllers: [
    {
      ...{ id: 'rosco', name: 'ROSCO', version: '2.9.4', image: 'nobody-has/rosco:2.9.4', description: '' },
      ...{ library_path: '/app/build/libdiscon.so', proc_name: 'DISCON' },
      ports: { internal: 8080, external: 0 },
      ...{ created_at: '2025-05-03T10:00:00Z', updated_at: '2025-05-03T10:00:00.5+02:00' },
      ...{ is_valid: true, validate_info: 'Controller is valid; Warning: Symbol DISCON not found' },
    },
  ],
};

let home: NodeHome;
let node: NodeProcess;
let database: string;

beforeAll(async () => {
  await requireDocker();
  home = await NodeHome.create();
  database = join(home.directory, 'old-controllers.json');
  writeFileSync(database, JSON.stringify(DATABASE));
  node = await home.start({ args: ['--config', configFile(`database: { path: ${database} }`)] });
});
afterAll(() => home?.[Symbol.asyncDispose]());

/** A file of discon-manager, with what a test adds to it. */
function configFile(addition: string): string {
  const path = join(home.directory, 'config.yaml');
  const common = [
    'server: { host: 127.0.0.1, debug_level: 1 }',
    'controller_discovery: { mode: manual, auto_register: true }',
    'health: { interval: 30, timeout: 5 }',
  ];
  writeFileSync(path, [...common, addition].join('\n'), { mode: 0o600 });
  return path;
}

test('a node takes the files of discon-manager as they are, and notes what means nothing any more', async () => {
  const { controllers, problem } = await node.rpc('ControllerService.List', {});
  expect(problem).toBeUndefined();
  expect(controllers).toMatchObject([
    { id: 'rosco', library_path: '/app/build/libdiscon.so', is_valid: true },
  ]);
  for (const name of ['health.interval', 'health.timeout', 'controller_discovery.auto_register'])
    expect(home.log()).toContain(`${name} means nothing any more`);
  expect(await node.rpc('ControllerService.Resolve', { path: 'discon-server-rosco' })).toMatchObject({
    ...{ resolved: true, id: 'rosco', proc_name: 'DISCON' },
  });
});

test('GET /controllers and /containers have the lines of before for who wants text', async () => {
  const text = { accept: 'text/plain' };
  expect((await node.get('/controllers', text)).text).toBe(
    'Controller: ROSCO (Version: 2.9.4, Image: nobody-has/rosco:2.9.4)\n',
  );
  expect(await node.get('/containers', text)).toMatchObject({ status: 200, text: '' });
  expect((await node.get('/ws')).status).toBe(426);
});

test('what is edited by hand counts, and values of env are seen in the file alone', async () => {
  const [rosco] = DATABASE.controllers;
  const edited = { controllers: [{ ...rosco, env: { LICENCE: SECRET } }] };
  writeFileSync(database, JSON.stringify(edited));
  await waitFor('the edit to count', SOON_MS, async () => {
    const { env } = await node.rpc('ControllerService.Get', { id: 'rosco' });
    return env?.['LICENCE'] === '***';
  });
  await node.rpc('ControllerService.Update', { id: 'rosco', changes: { description: 'ours' } });
  expect(readFileSync(database, 'utf8')).toContain(SECRET);
  for (const path of ['/controllers', '/health', '/ready?verbose', '/metrics'])
    expect((await node.get(path)).text).not.toContain(SECRET);
  expect(home.log()).not.toContain(SECRET);
});

test('line 15 of the facts: a limit that is none ends the start, by the name it has in the file', async () => {
  const args = ['--config', configFile('docker: { memory_limit: abc, cleanup_timeout: 0 }')];
  expect(await home.spawn({ args }).exited).toEqual({ code: 2, signal: null });
  expect(home.log()).toContain('(docker.memory_limit): must be a size');
  expect(home.log()).toContain('(docker.cleanup_timeout): must be a whole number of seconds');
});
