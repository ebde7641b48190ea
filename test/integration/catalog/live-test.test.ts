import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.ts';
import type { ControllerDraft } from '../../../src/catalog/controller.ts';
import type { LiveTestReport } from '../../../src/catalog/live-test/live-test.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import { OWNER_LABEL } from '../../../src/runtime/owner-label.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../../support/discon/image.ts';
import { DockerRun } from '../../support/docker.ts';
import { PATIENCE } from '../../support/patience.ts';

const MIB = 1024 ** 2;
const ANSWER_TIMEOUT_MS = 3_000;

let run: DockerRun;
let driver: DockerDriver;
let image: ControllerImage;
let directory: string;
let catalog: Catalog;

beforeAll(async () => {
  run = await DockerRun.start();
  driver = new DockerDriver();
  image = await importControllerImage(run.docker, { type: null });
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
  await run[Symbol.asyncDispose]();
  await image[Symbol.asyncDispose]();
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-live-test-'));
});
afterEach(async () => {
  await catalog.close();
  rmSync(directory, { recursive: true, force: true });
  // Whatever came of a test, its container is gone.
  expect(await driver.list({ [OWNER_LABEL]: run.id })).toEqual([]);
});

async function open(isLive = false): Promise<void> {
  catalog = new Catalog(
    {
      file: join(directory, 'controllers.json'),
      owner: run.id,
      discovery: { mode: 'manual', intervalMs: 60_000, removeMissing: true, followImages: false },
      validation: { enabled: true, verifySymbols: true, isLive },
      liveTest: {
        ...{ network: run.network, memoryBytes: 64 * MIB, cpus: 1, pids: 64 },
        ...{ startTimeoutMs: 20_000, answerTimeoutMs: ANSWER_TIMEOUT_MS },
      },
    },
    { driver, clock: systemClock, logger: SILENT_LOGGER },
  );
  await catalog.start();
}

const draft = (changes: Partial<ControllerDraft> = {}): ControllerDraft => ({
  id: 'rosco',
  version: '2.9.4',
  image: image.reference,
  library_path: LIBRARY_PATHS.controller,
  proc_name: 'DISCON',
  ...changes,
});

async function tried(changes: Partial<ControllerDraft> = {}): Promise<LiveTestReport> {
  await open();
  const { is_valid, updated_at } = await catalog.register(draft(changes));
  const report = await catalog.test('rosco');
  expect(catalog.find('rosco')).toMatchObject({ is_valid, updated_at });
  return report;
}

describe('a live test', () => {
  it('line 14: really calls the procedure, and tells what it said', async () => {
    const report = await tried();
    expect(report).toMatchObject({
      passed: true,
      info: 'Live test passed: DISCON answered 0: DISCON called 1 times',
      imageId: image.id,
      answer: { fail: 0, message: 'DISCON called 1 times' },
    });
    expect(report.answerMs).toBeLessThan(ANSWER_TIMEOUT_MS);
  });

  it('waits for one that is slow to listen', async () => {
    const report = await tried({ env: { START_DELAY_MS: '1500' } });
    expect(report.passed).toBe(true);
    expect(report.startMs).toBeGreaterThan(1_400);
  });

  it.each<[string, Partial<ControllerDraft>, RegExp]>([
    ['refuses', { env: { REFUSE: '1' } }, /^Live test failed: it answered wrongly: 500 \S/],
    [
      'has no such library',
      { library_path: '/none.so' },
      /wrongly: 500 Controller not found at '\/none.so'$/,
    ],
    ['ends when it loads its library', { library_path: LIBRARY_PATHS.crashesAtLoad }, /the container ended/],
    [
      'speaks another language',
      { env: { GARBAGE: '1' } },
      /^Live test failed: it answered wrongly: Parse Error/,
    ],
    ['goes away after its 101', { env: { DROP_AFTER_101: '1' } }, /closed the connection without an answer$/],
    ['never answers', { env: { HANG_UPGRADE: '1' } }, /it gave no answer within 3000 ms$/],
    [
      'has no way in at that port',
      { ports: { internal: 9 }, start_timeout: '1s' },
      /no connection within 1000 ms$/,
    ],
  ])('tells that it %s', async (_what, changes, info) => {
    const report = await tried(changes);
    expect(report.info).toMatch(info);
    expect(report).toMatchObject({ passed: false, imageId: image.id });
  });

  it('tells of a start that is none', async () => {
    const container = await run.docker.createContainer({ Image: image.reference, Cmd: ['x'] });
    const committed = `${image.reference}-broken`;
    const [repo, tag] = committed.split(':');
    await container.commit({ repo, tag, changes: 'ENTRYPOINT ["/no/such/program"]' });
    await container.remove();
    try {
      expect((await tried({ image: committed })).info).toMatch(
        /ended with exit code 127: .*\/no\/such\/program/,
      );
    } finally {
      await run.docker.getImage(committed).remove({ force: true });
    }
  });

  it('locks its container up', async () => {
    await open();
    await catalog.register(draft({ env: { HANG_UPGRADE: '1' } }));
    const left = new AbortController();
    const report = catalog.test('rosco', undefined, left.signal);
    report.catch(() => undefined);
    await expect
      .poll(async () => (await driver.list({ [OWNER_LABEL]: run.id }))[0]?.state, PATIENCE)
      .toBe('running');
    const [made] = await driver.list({ [OWNER_LABEL]: run.id });
    const { HostConfig, Mounts } = await run.docker.getContainer(made?.id ?? '').inspect();
    expect(HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: run.network,
      Memory: 64 * MIB,
      PidsLimit: 64,
    });
    // Servers put copies of a library beside it.
    expect(Mounts.map(({ Type, Destination }) => [Type, Destination])).toEqual([['volume', '/controller']]);
    left.abort();
    await expect(report).rejects.toThrow('aborted');
    await expect.poll(() => driver.list({ [OWNER_LABEL]: run.id }), PATIENCE).toEqual([]);
    const { Volumes } = await run.docker.listVolumes();
    expect(Volumes.map(({ Name }) => Name)).not.toContain(Mounts[0]?.Name);
  });
});

describe('a validation with a live test', () => {
  it('is served only what has answered, and repeated when what it depended on changes', async () => {
    await open(true);
    const refused = await catalog.register(draft({ env: { REFUSE: '1' } }));
    expect(refused).toMatchObject({ is_valid: false });
    expect(refused.validate_info).toMatch(/^Live test failed: it answered wrongly: 500/);
    const mended = await catalog.update('rosco', undefined, { env: null });
    await expect.poll(() => catalog.find('rosco')?.is_valid, PATIENCE).toBe(true);
    expect(mended.validation?.live_test ?? catalog.find('rosco')?.validation?.live_test).toMatch(
      /^[0-9a-f]{16}$/,
    );
    expect(catalog.find('rosco')?.validate_info).toBe(
      `Controller is valid, library file exists at ${LIBRARY_PATHS.controller}; Live test passed: DISCON answered 0: DISCON called 1 times`,
    );
  });

  it('starts nothing whose library is wrong', async () => {
    await open(true);
    const entry = await catalog.register(draft({ proc_name: 'NOWHERE' }));
    expect(entry.validate_info).toMatch(/symbol NOWHERE not found/);
  });
});
