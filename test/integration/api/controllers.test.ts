import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ControllerRecord } from '../../../src/catalog/controller.ts';
import { METHODS } from '../../../src/api/methods/table.ts';
import type { RpcMethodName } from '../../../src/api/wire.ts';
import { catalogOf, TestCatalog } from '../../support/catalog.ts';
import { http, rpc, startApi, type RpcAnswer, type RunningApi } from './api-harness.ts';

const SECRET = 'canary-of-an-environment';
const ROSCO: ControllerRecord = {
  id: 'rosco',
  name: 'ROSCO',
  version: '2.9.4',
  image: 'rosco:2.9.4',
  library_path: '/app/libdiscon.so',
  proc_name: 'DISCON',
  env: { LICENCE: SECRET },
  resources: { memory: '64m' },
  start_timeout: '30s',
};
const OLDER: ControllerRecord = { ...ROSCO, version: '2.8.0', image: 'rosco:2.8.0' };
const BROKEN: ControllerRecord = {
  id: 'broken',
  version: '1',
  image: 'broken:1',
  is_valid: false,
  validate_info: 'Library path not specified, validation failed',
};

async function startWith(
  records: readonly ControllerRecord[] = [ROSCO, OLDER, BROKEN],
): Promise<{ api: RunningApi; controllers: TestCatalog }> {
  const controllers = await TestCatalog.start(records);
  onTestFinished(() => controllers[Symbol.asyncDispose]());
  return { api: await startApi({ controllers: controllers.catalog }), controllers };
}

async function resultOf(
  api: RunningApi,
  name: RpcMethodName,
  params?: unknown,
): Promise<Record<string, unknown>> {
  const { result, error } = await rpc(api.port, name, params);
  expect(error).toBeUndefined();
  expect(METHODS[name].result().parse(result)).toEqual(result);
  return result as Record<string, unknown>;
}

function failureOf({ error }: RpcAnswer): [number | undefined, string | undefined, string | undefined] {
  return [error?.code, error?.data.reason, error?.message];
}

describe('ControllerService', () => {
  test('List shows every entry in the order of the file, invalid ones with their reason, and no value of env', async () => {
    const { api } = await startWith();
    const result = await resultOf(api, 'ControllerService.List');
    expect(result['controllers']).toMatchObject([
      {
        ...{ id: 'rosco', name: 'ROSCO', version: '2.9.4', is_valid: true, source: 'manual' },
        ...{ env: { LICENCE: '***' }, resources: { memory: 67_108_864 }, start_timeout: 30_000 },
        ...{ ports: { internal: 8080, external: 0 }, probe: { tcp: 8080 }, sharing: 'exclusive' },
      },
      { id: 'rosco', version: '2.8.0' },
      { id: 'broken', is_valid: false, validate_info: 'Library path not specified, validation failed' },
    ]);
    expect(JSON.stringify(result)).not.toContain(SECRET);
  });

  test('List says what is wrong with the file, and what in it does not count', async () => {
    const twice = await startWith([ROSCO, ROSCO]);
    const { warnings } = await resultOf(twice.api, 'ControllerService.List');
    expect(warnings).toEqual([expect.stringContaining('rosco')]);

    const { api, controllers } = await startWith();
    writeFileSync(controllers.file, '{"controllers": [{]}');
    const refused = await rpc(api.port, 'ControllerService.Remove', { id: 'broken' });
    expect(failureOf(refused).slice(0, 2)).toEqual([-32002, 'catalog_broken']);
    const result = await resultOf(api, 'ControllerService.List');
    expect(result).toMatchObject({ problem: { line: 1, message: expect.any(String) as string } });
    expect(result['controllers']).toHaveLength(3);
  });

  test('Get gives the highest version, or the one that is asked for', async () => {
    const { api } = await startWith([OLDER, ROSCO]);
    const newest = await resultOf(api, 'ControllerService.Get', { id: 'rosco' });
    expect(newest).toMatchObject({ version: '2.9.4', env: { LICENCE: '***' } });
    expect(JSON.stringify(newest)).not.toContain(SECRET);
    expect(await resultOf(api, 'ControllerService.Get', { id: 'rosco', version: '2.8.0' })).toMatchObject({
      image: 'rosco:2.8.0',
    });
  });

  test.each([
    [{ id: 'nope' }, 'controller_not_found', 'Controller not found: nope'],
    [{ id: 'nope', version: '1' }, 'controller_not_found', 'Controller not found: nope'],
    [{ id: 'rosco', version: '9.9' }, 'version_not_found', 'Controller version not found: 9.9'],
  ])('Get of %j finds nothing', async (params, reason, message) => {
    const { api } = await startWith();
    const answer = await rpc(api.port, 'ControllerService.Get', params);
    expect(failureOf(answer)).toEqual([-32001, reason, message]);
  });

  test('Register keeps units as they were written, and answers without what is secret', async () => {
    const { api, controllers } = await startWith([]);
    const result = await resultOf(api, 'ControllerService.Register', ROSCO);
    expect(result).toMatchObject({ id: 'rosco', start_timeout: 30_000, env: { LICENCE: '***' } });
    expect(JSON.stringify(result)).not.toContain(SECRET);
    const { controllers: written } = JSON.parse(readFileSync(controllers.file, 'utf8')) as {
      controllers: object[];
    };
    expect(written).toMatchObject([
      { start_timeout: '30s', resources: { memory: '64m' }, env: { LICENCE: SECRET } },
    ]);
    expect(written[0]).not.toHaveProperty('sharing');
    const again = await rpc(api.port, 'ControllerService.Register', ROSCO);
    expect(failureOf(again).slice(0, 2)).toEqual([-32002, 'exists']);
  });

  test.each([
    [{ ...ROSCO, id: 'ros.co' }, 'contains periods (.), which are not allowed'],
    [{ ...ROSCO, version: undefined }, 'version is required'],
    [{ ...ROSCO, is_valid: true }, 'is_valid is not a known field'],
    [{ ...ROSCO, resources: { memory: 'much' } }, 'resources.memory must be a size such as 512m'],
    [{ ...ROSCO, env: { LICENCE: `${SECRET}\0` } }, 'env.LICENCE must not contain a NUL character'],
    [{ ...ROSCO, env: { LICENCE: '***' } }, 'env.LICENCE must be a value'],
  ])(
    'Register refuses what is no entry, by its field, and quotes nothing secret: %#',
    async (draft, text) => {
      const { api, controllers } = await startWith([]);
      const answer = await rpc(api.port, 'ControllerService.Register', draft);
      expect(failureOf(answer)).toEqual([-32602, 'invalid_params', expect.stringContaining(text)]);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      expect(controllers.catalog.list()).toEqual([]);
    },
  );

  test('Update changes what is named and nothing else; null takes a field away', async () => {
    const { api, controllers } = await startWith([ROSCO]);
    const changes = { description: 'for the barge', start_timeout: null, warm: 2 };
    const result = await resultOf(api, 'ControllerService.Update', { id: 'rosco', changes });
    expect(result).toMatchObject({ description: 'for the barge', warm: 2, name: 'ROSCO' });
    expect(result).not.toHaveProperty('start_timeout');
    expect(controllers.catalog.find('rosco')?.env).toEqual({ LICENCE: SECRET });
    const { controllers: written } = JSON.parse(readFileSync(controllers.file, 'utf8')) as {
      controllers: object[];
    };
    expect(written[0]).not.toHaveProperty('sharing');
  });

  test.each([
    [{ id: 'rosco', changes: { warm: 1 } }, -32602, 'ambiguous'],
    [{ id: 'nope', changes: { warm: 1 } }, -32001, 'controller_not_found'],
    [{ id: 'rosco', version: '9', changes: { warm: 1 } }, -32001, 'version_not_found'],
    [{ id: 'rosco', version: '2.8.0', changes: { version: '2.9.4' } }, -32002, 'exists'],
    [{ id: 'broken', changes: { id: 'other' } }, -32602, 'invalid_params'],
    [{ id: 'broken', changes: { warm: -1 } }, -32602, 'invalid_params'],
    [{ id: 'broken', changes: { image: null } }, -32602, 'invalid_entry'],
    [{ id: 'rosco', version: '2.9.4', changes: { env: { LICENCE: '***' } } }, -32602, 'invalid_params'],
    [{ id: 'broken' }, -32602, 'invalid_params'],
  ])('Update of %j is refused', async (params, code, reason) => {
    const { api } = await startWith();
    const answer = await rpc(api.port, 'ControllerService.Update', params);
    expect(failureOf(answer).slice(0, 2)).toEqual([code, reason]);
  });

  test('Remove takes one version, which must be named where there are several', async () => {
    const { api, controllers } = await startWith();
    const which = await rpc(api.port, 'ControllerService.Remove', { id: 'rosco' });
    expect(which.error?.data.details).toMatchObject({ versions: ['2.9.4', '2.8.0'] });
    expect(failureOf(which).slice(0, 2)).toEqual([-32602, 'ambiguous']);
    const params = { id: 'rosco', version: '2.9.4' };
    expect(await resultOf(api, 'ControllerService.Remove', params)).toEqual({ id: 'rosco', removed: true });
    expect(controllers.catalog.list().map(({ version }) => version)).toEqual(['2.8.0', '1']);
  });

  test('Discover tells what it added, and which images it skipped', async () => {
    const { api, controllers } = await startWith([]);
    const labels = (fields: Record<string, string>) => ({
      labels: {
        'org.discon.type': 'controller',
        ...Object.fromEntries(
          Object.entries(fields).map(([name, value]) => [`org.discon.controller.${name}`, value]),
        ),
      },
    });
    controllers.driver.addImage('new:1', labels({ id: 'new', name: 'New', version: '1' }));
    controllers.driver.addImage('bad:1', labels({ id: 'bad', version: '1' }));
    expect(await resultOf(api, 'ControllerService.Discover')).toMatchObject({
      ...{ added: ['new@1'], updated: [], removed: [] },
      skipped: [{ image: expect.stringContaining('bad:1') as string, reason: expect.any(String) as string }],
    });
    const found = await resultOf(api, 'ControllerService.Get', { id: 'new' });
    expect(found).toMatchObject({ source: 'discovered', name: 'New' });
  });

  test('Validate answers with what it found', async () => {
    const { api, controllers } = await startWith([ROSCO]);
    controllers.driver.addImage('rosco:2.9.4');
    const result = await resultOf(api, 'ControllerService.Validate', { id: 'rosco' });
    expect(result).toMatchObject({
      is_valid: false,
      validate_info: expect.stringContaining('/app/libdiscon.so') as string,
    });
    expect(result).toHaveProperty('validated_at');
  });

  test('Test starts it once, and says what came of it', async () => {
    const { api, controllers } = await startWith([{ ...ROSCO, start_timeout: '1ms' }]);
    controllers.driver.addImage('rosco:2.9.4');
    expect(await resultOf(api, 'ControllerService.Test', { id: 'rosco' })).toEqual({
      ...{ id: 'rosco', version: '2.9.4', image: 'rosco:2.9.4', digest: 'sha256:rosco:2.9.4' },
      passed: false,
      info: 'Live test failed: it accepted no connection within 1 ms',
    });
    expect(controllers.driver.calls).toMatchObject({ create: 1, start: 1, remove: 1 });
    const missing = await rpc(api.port, 'ControllerService.Test', { id: 'nope' });
    expect(failureOf(missing).slice(0, 2)).toEqual([-32001, 'controller_not_found']);
  });

  test('Validate fails as the engine does', async () => {
    const { api, controllers } = await startWith();
    const missing = await rpc(api.port, 'ControllerService.Validate', { id: 'rosco' });
    expect(failureOf(missing).slice(0, 2)).toEqual([-32012, 'image_not_found']);
    controllers.driver.setAvailable(false);
    const away = await rpc(api.port, 'ControllerService.Validate', { id: 'rosco' });
    expect(failureOf(away).slice(0, 2)).toEqual([-32603, 'engine_unavailable']);
  });

  test.each([
    [
      { path: 'rosco', proc: 'OTHER' },
      { library_path: '/app/libdiscon.so', proc_name: 'OTHER' },
    ],
    [
      { controller: 'rosco', version: '2.8' },
      { version: '2.8.0', image: 'rosco:2.8.0' },
    ],
    [{ path: '/elsewhere.so' }, { library_path: '/app/libdiscon.so', path_ignored: true }],
  ])('Resolve says what a connection with %j would get', async (query, expected) => {
    const { api } = await startWith();
    const result = await resultOf(api, 'ControllerService.Resolve', query);
    expect(result).toMatchObject({ resolved: true, id: 'rosco', ...expected });
  });

  test.each([
    [{ controller: 'nope' }, 'controller_not_found', 'Controller not found: nope'],
    [{ version: '9.9' }, 'version_not_found', 'Controller version not found: 9.9'],
    [{ controller: 'broken' }, 'controller_invalid', expect.stringContaining('Library path not specified')],
    [{ path: 'a\u0007b' }, 'bad_query', expect.stringContaining('control characters')],
  ])('Resolve says why a connection with %j would get none', async (query, reason, message) => {
    const { api } = await startWith();
    expect(await resultOf(api, 'ControllerService.Resolve', query)).toEqual({
      ...{ resolved: false, reason },
      message: message as string,
    });
  });

  test('a token of scope read sees, and changes nothing', async () => {
    const token = 'r'.repeat(43);
    const access = { tokens: [{ name: 'reader', scope: 'read' as const, token }] };
    const api = await startApi({ access, controllers: catalogOf('/nowhere/controllers.json') });
    const as = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const call = async (method: string, params: object): Promise<RpcAnswer> => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      return JSON.parse(
        (await http(api.port, '/jrpc', { method: 'POST', headers: as, body })).text,
      ) as RpcAnswer;
    };
    expect((await call('ControllerService.List', {})).result).toEqual({ controllers: [] });
    expect((await call('SessionService.List', {})).result).toEqual({ sessions: [] });
    for (const method of [
      ...['Register', 'Update', 'Remove', 'Discover', 'Validate', 'Test'].map(
        (name) => `ControllerService.${name}`,
      ),
      'SessionService.Close',
    ])
      expect((await call(method, { id: 'x' })).error?.data.reason, method).toBe('forbidden');
  });
});

describe('GET /controllers', () => {
  test('is JSON unless somebody asks for text', async () => {
    const { api } = await startWith();
    for (const accept of ['*/*', 'application/json', 'text/html,*/*;q=0.8', 'text/plain, application/json']) {
      const { status, text } = await http(api.port, '/controllers', { headers: { accept } });
      expect(status).toBe(200);
      const { controllers } = JSON.parse(text) as { controllers: object[] };
      expect(controllers).toMatchObject([{ env: { LICENCE: '***' } }, {}, {}]);
      expect(text).not.toContain(SECRET);
    }
  });

  test('as text has the lines that scripts look for', async () => {
    const { api } = await startWith();
    const reply = await http(api.port, '/controllers', { headers: { accept: 'text/plain' } });
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(reply.text).toBe(
      'Controller: ROSCO (Version: 2.9.4, Image: rosco:2.9.4)\n' +
        'Controller: ROSCO (Version: 2.8.0, Image: rosco:2.8.0)\n' +
        'Controller: broken (Version: 1, Image: broken:1)\n',
    );
  });
});

describe('GET /ws', () => {
  test.each(['/ws', '/ws?controller=rosco'])('%s without an upgrade says how to connect', async (path) => {
    const { api } = await startWith();
    const reply = await http(api.port, path);
    expect(reply.status).toBe(426);
    expect(reply.headers).toMatchObject({ upgrade: 'websocket', connection: 'Upgrade' });
    expect(JSON.parse(reply.text)).toMatchObject({
      reason: 'upgrade_required',
      detail: expect.stringContaining('ws://HOST:PORT/ws?controller=ID') as string,
    });
  });
});
