import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ControllerRecord } from '../../../src/catalog/controller.ts';
import { TestCatalog } from '../../support/catalog.ts';
import { startApi } from '../api/api-harness.ts';
import { cli, type CliOptions, type CliResult } from './cli-process.ts';

const directory = mkdtempSync(join(tmpdir(), 'cm-cli-controllers-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const SECRET = 'canary-of-an-environment';
const ROSCO: ControllerRecord = {
  id: 'rosco',
  name: 'ROSCO',
  version: '2.9.4',
  image: 'rosco:2.9.4',
  library_path: '/app/libdiscon.so',
  proc_name: 'DISCON',
  env: { LICENCE: SECRET },
};
const OLDER: ControllerRecord = { ...ROSCO, version: '2.8.0', image: 'rosco:2.8.0', env: {} };
const BROKEN: ControllerRecord = {
  id: 'broken',
  version: '1',
  image: 'broken:1',
  is_valid: false,
  validate_info: 'Library file not found at path: /x.so\u001b[31m',
};

interface Surroundings {
  readonly controllers: TestCatalog;
  readonly port: number;
  readonly run: (args: readonly string[], options?: CliOptions) => Promise<CliResult>;
}

/** A node of these controllers, without what makes it run any. */
async function nodeOf(...records: ControllerRecord[]): Promise<Surroundings> {
  const controllers = await TestCatalog.start(records);
  onTestFinished(() => controllers[Symbol.asyncDispose]());
  const { port } = await startApi({ controllers: controllers.catalog });
  return { controllers, port, run: (args, options) => cli(['controllers', ...args], { port, ...options }) };
}

function file(content: unknown): string {
  const path = join(directory, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('controllers ls', () => {
  it('lists them in the order of the file, each invalid one with its reason', async () => {
    const { run } = await nodeOf(ROSCO, OLDER, BROKEN);
    for (const args of [[], ['ls']]) {
      const { code, stdout, stderr } = await run(args);
      expect(stdout.split('\n')).toEqual([
        'ID      VERSION  NAME   IMAGE        SHARING    SOURCE  STATUS   REASON',
        'rosco   2.9.4    ROSCO  rosco:2.9.4  exclusive  manual  valid',
        'rosco   2.8.0    ROSCO  rosco:2.8.0  exclusive  manual  valid',
        'broken  1               broken:1     exclusive  manual  invalid  Library file not found at path: /x.so\\x1b[31m',
        '',
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
  });

  it('speaks JSON, without what is secret', async () => {
    const { run } = await nodeOf(ROSCO);
    const { stdout } = await run(['--output', 'json']);
    expect(JSON.parse(stdout)).toMatchObject([{ id: 'rosco', env: { LICENCE: '***' } }]);
    expect(stdout).not.toContain(SECRET);
  });

  it('says on stderr that there is none, and what is wrong with the file', async () => {
    const { run } = await nodeOf();
    expect(await run([])).toEqual({ code: 0, stdout: '', stderr: 'There are no controllers.\n' });
    const twice = await nodeOf(ROSCO, ROSCO);
    expect((await twice.run([])).stderr).toMatch(/^warning: .*rosco/);
  });
});

describe('controllers show', () => {
  it('shows one, by default the highest version', async () => {
    const { run } = await nodeOf(OLDER, ROSCO);
    const { code, stdout } = await run(['show', 'rosco']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Controller {2}rosco\nVersion +2\.9\.4\nName +ROSCO\nStatus +valid\n/);
    expect(stdout).toMatch(/^Variables +LICENCE$/m);
    expect((await run(['show', 'rosco', '--version', '2.8.0'])).stdout).toMatch(/^Image +rosco:2\.8\.0$/m);
  });

  it('says where to look when there is none', async () => {
    const { run } = await nodeOf(ROSCO);
    expect(await run(['show', 'nope'])).toEqual({
      code: 3,
      stdout: '',
      stderr:
        'error: Controller not found: nope\nnext: see the controllers there are: container-manager controllers\n',
    });
    expect((await run(['show', 'rosco', '--version', '9'])).code).toBe(3);
  });
});

describe('controllers validate and discover', () => {
  it('validate says what was found, and ends with 1 when that is bad', async () => {
    const { run, controllers } = await nodeOf(ROSCO);
    controllers.driver.addImage('rosco:2.9.4');
    const { code, stdout } = await run(['validate', 'rosco']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^rosco@2\.9\.4 is invalid: .*\/app\/libdiscon\.so/);
  });

  it('test says what came of it, and ends with 1 when it did not pass', async () => {
    const { run, controllers } = await nodeOf({ ...ROSCO, start_timeout: '1ms' });
    controllers.driver.addImage('rosco:2.9.4');
    const { code, stdout } = await run(['test', 'rosco']);
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: 'rosco@2.9.4: Live test failed: it accepted no connection within 1 ms\n',
    });
    const json = await run(['test', 'rosco', '--output', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ id: 'rosco', passed: false });
  });

  it('discover says what changed, and which images were skipped', async () => {
    const { run, controllers } = await nodeOf();
    const label = (name: string) => `org.discon.controller.${name}`;
    const type = { 'org.discon.type': 'controller' };
    controllers.driver.addImage('new:1', {
      labels: { ...type, [label('id')]: 'new', [label('name')]: 'New', [label('version')]: '1' },
    });
    controllers.driver.addImage('bad:1', { labels: { ...type, [label('version')]: '1' } });
    const { code, stdout, stderr } = await run(['discover']);
    expect(stdout).toBe('Added      new@1\nUpdated    none\nRemoved    none\nUnchanged  none\n');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^skipped: bad:1.*: .*name/) });
  });
});

describe('controllers add', () => {
  it.each([
    ['one', ROSCO],
    ['a list', [ROSCO]],
    [
      'a whole database, with what a node wrote into it',
      { controllers: [{ ...ROSCO, ...WRITTEN_BY_A_NODE() }] },
    ],
  ])('takes %s', async (_name, content) => {
    const { run, controllers } = await nodeOf();
    const { code, stdout, stderr } = await run(['add', file(content)]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'rosco@2.9.4  added, valid\n', stderr: '' });
    expect(controllers.catalog.find('rosco')).toMatchObject({ env: { LICENCE: SECRET }, source: 'manual' });
  });

  it('takes what is piped in', async () => {
    const { run, controllers } = await nodeOf();
    expect((await run(['add', '-'], { input: JSON.stringify(ROSCO) })).code).toBe(0);
    expect(controllers.catalog.find('rosco')?.version).toBe('2.9.4');
  });

  it('adds what it can, and tells of each other one why not', async () => {
    const { run, controllers } = await nodeOf(ROSCO);
    const bad = { ...ROSCO, id: 'with.periods' };
    const nameless = { image: 'a' };
    const { code, stdout, stderr } = await run(['add', file([ROSCO, bad, nameless, OLDER])]);
    expect(stdout).toBe('rosco@2.8.0  added, valid\n');
    expect(stderr).toContain('error: rosco@2.9.4: controller rosco@2.9.4 exists already\n');
    expect(stderr).toContain(
      'error: with.periods@2.9.4: invalid params: id controller ID "with.periods" contains periods',
    );
    expect(stderr).toContain('error: entry 3: invalid params: id is required\n');
    expect(code).toBe(1);
    expect(controllers.catalog.list()).toHaveLength(2);
  });

  it.each([
    ['no JSON', `{ "env": ${SECRET}`, 'is not JSON'],
    ['something else', '[1]', 'holds something else than controllers'],
    [
      'values that a node kept to itself',
      { ...ROSCO, env: { LICENCE: '***' } },
      'holds no values, only ***: LICENCE',
    ],
  ])('refuses %s before anything is added', async (_name, content, text) => {
    const { run, controllers } = await nodeOf();
    const { code, stderr } = await run(['add', file(content)]);
    expect(code).toBe(2);
    expect(stderr).toContain(text);
    expect(stderr).not.toContain(SECRET);
    expect(controllers.catalog.list()).toEqual([]);
  });

  it('says so when there is no such file', async () => {
    const { run } = await nodeOf();
    const { code, stderr } = await run(['add', join(directory, 'missing.json')]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('ENOENT') });
  });
});

function WRITTEN_BY_A_NODE(): Partial<ControllerRecord> {
  return {
    created_at: '2025-01-31T12:00:00Z',
    updated_at: '2025-01-31T12:00:00Z',
    is_valid: false,
    validate_info: 'Library path not specified, validation failed',
  };
}

describe('controllers rm', () => {
  it('takes one away, unasked only with --yes', async () => {
    const { run, controllers } = await nodeOf(ROSCO, BROKEN);
    const unasked = await run(['rm', 'rosco']);
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('add --yes') as string });
    expect(controllers.catalog.list()).toHaveLength(2);
    const { code, stdout } = await run(['rm', 'rosco', '--yes']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'rosco  removed\n' });
    expect(controllers.catalog.list().map(({ id }) => id)).toEqual(['broken']);
  });

  it('wants to know which version, where there are several', async () => {
    const { run, controllers } = await nodeOf(ROSCO, OLDER);
    expect(await run(['rm', 'rosco', '--yes'])).toEqual({
      code: 2,
      stdout: '',
      stderr: 'error: rosco has the versions 2.9.4, 2.8.0: say which one\nnext: name one with --version\n',
    });
    expect((await run(['rm', 'rosco', '--version', '2.8.0', '-y'])).stdout).toBe('rosco@2.8.0  removed\n');
    expect(controllers.catalog.list().map(({ version }) => version)).toEqual(['2.9.4']);
  });
});

describe('doctor', () => {
  const findingOf = async ({ port }: { readonly port: number }): Promise<unknown> => {
    const env = { CONTAINER_MANAGER_DATA_DIR: directory };
    const { stdout } = await cli(['doctor', '--output', 'json'], { port, env });
    return (JSON.parse(stdout) as { name: string }[]).find(({ name }) => name === 'controllers');
  };

  it('says how the controllers of a node stand', async () => {
    expect(await findingOf(await nodeOf(ROSCO, OLDER))).toMatchObject({
      ...{ verdict: 'ok', text: '2, all of them valid' },
    });
    expect(await findingOf(await nodeOf(ROSCO, BROKEN))).toMatchObject({
      ...{ verdict: 'warn', text: '1 of 2 not valid: no connection is led to them' },
    });
    const { controllers, port } = await nodeOf(ROSCO);
    writeFileSync(controllers.file, '{"controllers": [{]}');
    await expect(controllers.catalog.remove('rosco')).rejects.toThrow('mend it');
    expect(await findingOf({ port })).toMatchObject({
      ...{ verdict: 'warn', text: expect.stringContaining('line 1') as string },
    });
    expect(await findingOf({ port: 1 })).toBeUndefined();
  });
});

it.each([
  [['show'], 'show needs the id of a controller'],
  [['add'], 'add needs a file, or - for what is piped in'],
  [['ls', 'rosco'], 'ls takes no argument'],
  [['discover', '--yes'], '--yes does not go with discover'],
  [['add', 'x', '--version', '1'], '--version does not go with add'],
  [['fly'], "'fly' is invalid for argument 'action'"],
])('%j is a mistake in the command line', async (args, text) => {
  const { code, stderr } = await cli(['controllers', ...args], { port: 1 });
  expect(code).toBe(2);
  expect(stderr).toContain(text);
});
