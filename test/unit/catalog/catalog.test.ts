import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.ts';
import type { ControllerDraft, ControllerRecord } from '../../../src/catalog/controller.ts';
import type { CatalogOptions } from '../../../src/catalog/options.ts';
import { VALIDATION_LABEL } from '../../../src/catalog/brief-containers.ts';
import { classify } from '../../../src/jobs/classify.ts';
import { type Clock, systemClock } from '../../../src/kernel/clock.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { OWNER_LABEL } from '../../../src/runtime/owner-label.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { LIVE_TEST } from '../../support/catalog.ts';
import { PATIENCE } from '../../support/patience.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { writeLibrary } from '../../support/elf-writer.ts';
import { TempCatalog } from './temp-catalog.ts';

const OWNER = 'node-1';
const LIBRARY = '/controller/libdiscon.so';
const AMD64 = { is64Bit: true, isLittleEndian: true, machine: 62, hasSections: true, hash: 'gnu' } as const;
const good = writeLibrary(AMD64, ['DISCON']);
const LABELS = {
  'org.discon.type': 'controller',
  'org.discon.controller.id': 'rosco',
  'org.discon.controller.name': 'ROSCO',
  'org.discon.controller.version': '2.9.4',
  'org.discon.controller.library_path': LIBRARY,
  'org.discon.controller.proc_name': 'DISCON',
};
const DRAFT: ControllerDraft = {
  id: 'mine',
  version: '1.0',
  image: 'mine:1',
  library_path: LIBRARY,
  proc_name: 'DISCON',
};
const VALID = `Controller is valid, library file exists at ${LIBRARY}`;

let temp: TempCatalog;
let driver: FakeDriver;
let opened: Catalog[];

interface Changes {
  readonly discovery?: Partial<CatalogOptions['discovery']>;
  readonly validation?: Partial<CatalogOptions['validation']>;
  readonly clock?: Clock;
}

/** A catalog that does nothing by itself but what a test asks for. */
async function open({ discovery, validation, clock = systemClock }: Changes = {}): Promise<Catalog> {
  const catalog = new Catalog(
    {
      file: temp.file,
      owner: OWNER,
      discovery: {
        mode: 'manual',
        intervalMs: 60_000,
        removeMissing: false,
        followImages: false,
        ...discovery,
      },
      validation: { enabled: true, verifySymbols: true, isLive: false, ...validation },
      liveTest: LIVE_TEST,
    },
    { driver, clock, logger: SILENT_LOGGER },
  );
  opened.push(catalog);
  await catalog.start();
  return catalog;
}

beforeEach(() => {
  temp = new TempCatalog();
  driver = new FakeDriver();
  opened = [];
});
afterEach(async () => {
  for (const catalog of opened) await catalog.close();
  // Whatever happened, no container stays.
  driver.setAvailable(true);
  expect([...driver.instances.values()].filter(({ labels }) => labels[OWNER_LABEL] === OWNER)).toEqual([]);
  temp[Symbol.dispose]();
});

const addRosco = (id = 'sha256:rosco', library = good): void =>
  driver.addImage('rosco:2_9_4', { id, labels: LABELS }, { [LIBRARY]: library });
const names = (catalog: Catalog): string[] => catalog.list().map(({ id, version }) => `${id}@${version}`);
const onDisk = (): ControllerRecord[] =>
  (JSON.parse(readFileSync(temp.file, 'utf8')) as { controllers: ControllerRecord[] }).controllers;

describe('discovery', () => {
  it('finds images, looks into them, and serves them', async () => {
    addRosco();
    const catalog = await open();
    const report = await catalog.discover();
    expect(report).toMatchObject({ added: ['rosco@2.9.4'], skipped: [] });
    expect(catalog.lastDiscovery).toBe(report);
    expect(catalog.find('rosco')).toMatchObject({
      source: 'discovered',
      digest: 'sha256:rosco',
      is_valid: true,
      validate_info: VALID,
      validation: { digest: 'sha256:rosco', is_valid: true, format: 'ELF 64-bit amd64' },
    });
    expect(catalog.resolve({ path: 'rosco', proc: 'DISCON' })).toMatchObject({ libraryPath: LIBRARY });
    expect(onDisk()).toMatchObject([{ id: 'rosco', is_valid: true }]);
  });

  it('does not serve what is wrong, and says why', async () => {
    addRosco('sha256:bad', writeLibrary(AMD64, ['discon_']));
    const catalog = await open();
    await catalog.discover();
    expect(() => catalog.resolve({ controller: 'rosco' })).toThrow(
      /symbol DISCON not found; did you mean discon_\?/,
    );
  });

  it('looks again when the image is another one, and only then', async () => {
    addRosco();
    const catalog = await open();
    await catalog.discover();
    await catalog.discover();
    expect(driver.calls.create).toBe(1);
    addRosco('sha256:two', Buffer.from('no library'));
    expect((await catalog.discover()).updated).toEqual(['rosco@2.9.4']);
    expect(catalog.find('rosco')).toMatchObject({ is_valid: false, digest: 'sha256:two' });
    expect(driver.calls.create).toBe(2);
  });

  it.each(['startup', 'periodic'] as const)('in mode %s happens at the start', async (mode) => {
    addRosco();
    const catalog = await open({ discovery: { mode } });
    await expect.poll(() => catalog.find('rosco')?.is_valid, PATIENCE).toBe(true);
  });

  it('in mode manual does not happen by itself', async () => {
    addRosco();
    const catalog = await open({ discovery: { followImages: true } });
    await expect.poll(() => driver.calls.imageEvents, PATIENCE).toBe(1);
    await catalog.close();
    expect(driver.calls.listImages).toBe(0);
    expect(names(catalog)).toEqual([]);
  });

  it('in mode periodic happens once an interval', async () => {
    const clock = new VirtualClock();
    const catalog = await open({ discovery: { mode: 'periodic' }, clock });
    await expect.poll(() => driver.calls.listImages, PATIENCE).toBe(1);
    addRosco();
    await clock.pass(59_999);
    expect(driver.calls.listImages).toBe(1);
    await clock.pass(1);
    await expect.poll(() => catalog.find('rosco')?.is_valid, PATIENCE).toBe(true);
  });

  it('follows what the engine tells of images', async () => {
    const catalog = await open({ discovery: { mode: 'startup', followImages: true, removeMissing: true } });
    await expect.poll(() => driver.calls.listImages, PATIENCE).toBeGreaterThan(0);
    addRosco();
    await expect.poll(() => catalog.find('rosco')?.is_valid, PATIENCE).toBe(true);
    driver.removeImage('rosco:2_9_4');
    await expect.poll(() => names(catalog), PATIENCE).toEqual([]);
  });

  it('is shared by those who ask at the same time', async () => {
    addRosco();
    const catalog = await open();
    const [one, other] = await Promise.all([catalog.discover(), catalog.discover()]);
    expect(one).toBe(other);
    expect(driver.calls.listImages).toBe(1);
  });
});

describe('an engine that is away', () => {
  it('leaves the entries as they were, and is no reason not to start', async () => {
    writeFileSync(temp.file, JSON.stringify({ controllers: [{ ...DRAFT, is_valid: true }] }));
    driver.setAvailable(false);
    const catalog = await open({ discovery: { mode: 'startup', followImages: true } });
    await expect(catalog.discover()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(catalog.validate('mine')).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(catalog.resolve({}).controller.id).toBe('mine');
    expect(await catalog.register({ ...DRAFT, id: 'other' })).toMatchObject({ is_valid: true });
    expect(onDisk()).toHaveLength(2);
  });

  it('that comes back is asked for what was left undone', async () => {
    const clock = new VirtualClock();
    addRosco();
    driver.setAvailable(false);
    const catalog = await open({ discovery: { mode: 'startup' }, clock });
    await expect.poll(() => driver.calls.listImages, PATIENCE).toBeGreaterThan(0);
    driver.setAvailable(true);
    await expect
      .poll(async () => {
        await clock.pass(60_000);
        return catalog.find('rosco')?.is_valid;
      }, PATIENCE)
      .toBe(true);
  });

  it('that goes in the middle of a validation changes nothing', async () => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    driver.failNext('readFile', new RuntimeError('engine_unavailable', 'gone'));
    const before = onDisk();
    await expect(catalog.validate('rosco')).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(onDisk()).toEqual(before);
  });
});

describe('validation', () => {
  it('makes a container that is never started, and takes it away', async () => {
    addRosco();
    const catalog = await open();
    await catalog.discover();
    expect(driver.calls).toMatchObject({ create: 1, start: 0, remove: 1 });
    expect(driver.instances.size).toBe(0);
  });

  it.each(['create', 'inspect', 'readFile'] as const)('takes it away when %s fails', async (call) => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    driver.failNext(call, new RuntimeError('engine_error', 'no'));
    await expect(catalog.validate('rosco')).rejects.toMatchObject({ code: 'engine_error' });
    expect(driver.instances.size).toBe(0);
    expect(await catalog.validate('rosco')).toMatchObject({ is_valid: true });
  });

  it('takes away one whose reply was lost', async () => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    driver.loseReply('create');
    await expect(catalog.validate('rosco')).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(driver.instances.size).toBe(0);
  });

  it('takes it away later when the engine was away just then', async () => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    driver.failNext('remove', new RuntimeError('engine_unavailable', 'gone'), 2);
    expect(await catalog.validate('rosco')).toMatchObject({ is_valid: true });
    await expect.poll(() => driver.instances.size, PATIENCE).toBe(0);
    expect(driver.calls.remove).toBe(3);
  });

  it('is shared by those who ask for the same, and otherwise one at a time', async () => {
    addRosco();
    for (const index of [1, 2, 3]) driver.addImage(`mine:${index}`, {}, { [LIBRARY]: good });
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    for (const index of [1, 2, 3])
      await catalog.register({ ...DRAFT, version: `${index}`, image: `mine:${index}` });
    let most = 0;
    const hang = driver.hang('readFile');
    const all = Promise.all([
      ...[1, 2, 3].map((index) => catalog.validate('mine', `${index}`)),
      catalog.validate('rosco'),
      catalog.validate('rosco'),
    ]);
    await expect.poll(() => driver.calls.readFile, PATIENCE).toBe(1);
    most = Math.max(most, driver.instances.size);
    hang[Symbol.dispose]();
    expect((await all).every(({ is_valid }) => is_valid)).toBe(true);
    expect(most).toBe(1);
    expect(driver.calls.create).toBe(4);
  });

  it('is left at once by who does not want it any more, and leaves nothing', async () => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    using _hang = driver.hang('readFile');
    const abort = new AbortController();
    const reason = new Error('changed my mind');
    const validating = catalog.validate('rosco', undefined, abort.signal);
    await expect.poll(() => driver.calls.readFile, PATIENCE).toBe(1);
    abort.abort(reason);
    await expect(validating).rejects.toBe(reason);
    await expect.poll(() => driver.instances.size, PATIENCE).toBe(0);
    expect(catalog.find('rosco')).not.toHaveProperty('validation');
  });

  it('goes on with the others when one cannot be looked at', async () => {
    const entries = ['gone', 'odd', 'fine'].map((id) => ({ ...DRAFT, id, image: `${id}:1` }));
    writeFileSync(temp.file, JSON.stringify({ controllers: entries }));
    for (const id of ['odd', 'fine']) driver.addImage(`${id}:1`, {}, { [LIBRARY]: good });
    driver.failNext('create', new RuntimeError('engine_error', 'no'));
    const catalog = await open();
    await expect.poll(() => catalog.find('fine')?.validate_info, PATIENCE).toBe(VALID);
    expect(catalog.find('gone')).toMatchObject({ is_valid: true });
    expect(catalog.find('gone')).not.toHaveProperty('validation');
  });

  it('says that an image is not there, and knows nothing of it', async () => {
    writeFileSync(temp.file, JSON.stringify({ controllers: [DRAFT] }));
    const catalog = await open();
    await expect(catalog.validate('mine')).rejects.toMatchObject({ code: 'image_not_found' });
    await expect(catalog.validate('nope')).rejects.toMatchObject({ code: 'controller_not_found' });
    await expect(catalog.validate('mine', '9')).rejects.toMatchObject({ code: 'version_not_found' });
  });

  it('of an entry without a library needs no container', async () => {
    driver.addImage('mine:1');
    const catalog = await open();
    expect(await catalog.register({ ...DRAFT, library_path: '' })).toMatchObject({
      is_valid: false,
      validate_info: 'Library path not specified, validation failed',
    });
    expect(driver.calls.create).toBe(0);
  });

  it('is done anew when what it was asked to verify is another thing', async () => {
    addRosco('sha256:bad', writeLibrary(AMD64, ['other']));
    const strict = await open();
    await strict.discover();
    expect(strict.find('rosco')?.is_valid).toBe(false);
    await strict.close();
    const lenient = await open({ validation: { verifySymbols: false } });
    await expect.poll(() => lenient.find('rosco')?.is_valid, PATIENCE).toBe(true);
    expect(lenient.find('rosco')?.validate_info).toBe(`${VALID}; Warning: Symbol DISCON not found`);
  });
});

describe('leftovers of a crash', () => {
  const leftover = async (owner: string, labels: Record<string, string> = { [VALIDATION_LABEL]: 'true' }) =>
    driver.create({
      ...{
        name: `cm-validation-${owner}`,
        image: 'rosco:2_9_4',
        entrypoint: undefined,
        arguments: [],
        env: {},
      },
      ...{
        workingDir: undefined,
        user: undefined,
        hasCapabilities: false,
        files: 'writable' as const,
        network: 'none',
        ports: [],
        memoryBytes: 1,
        cpus: 1,
        pids: 1,
      },
      ...{ stopSignal: undefined, healthcheck: undefined },
      labels: { [OWNER_LABEL]: owner, ...labels },
    });

  it('are removed at the start; those of other nodes, and what is no validation, are not', async () => {
    addRosco();
    const mine = await leftover(OWNER);
    const others = await leftover('node-2');
    const job = await leftover('job', { [OWNER_LABEL]: 'node-3', 'container-manager.job': 'x' });
    await open();
    await expect.poll(() => [...driver.instances.keys()], PATIENCE).toEqual([others, job]);
    expect(driver.instances.has(mine)).toBe(false);
  });

  it('are nothing that whoever looks after jobs would touch', async () => {
    addRosco();
    const id = await leftover(OWNER);
    const view = await driver.inspect(id);
    expect(view && classify(view, undefined, false)).toBe('leave');
    await driver.remove(id);
  });
});

describe('an entry made by hand', () => {
  it('is registered, looked at, and written', async () => {
    driver.addImage('mine:1', {}, { [LIBRARY]: good });
    const catalog = await open();
    expect(
      await catalog.register({ ...DRAFT, idle_timeout: '90s', resources: { memory: '512m' } }),
    ).toMatchObject({
      source: 'manual',
      is_valid: true,
      validate_info: VALID,
      idle_timeout: 90_000,
      resources: { memory: 512 * 1024 ** 2 },
    });
    expect(onDisk()).toMatchObject([{ ...DRAFT, idle_timeout: '90s', resources: { memory: '512m' } }]);
  });

  it.each<[what: string, changes: object, message: string]>([
    [
      'a period in its id',
      { id: 'a.b' },
      'controller ID "a.b" contains periods (.), which are not allowed; use hyphens (-) or underscores (_) instead',
    ],
    ['a space in its id', { id: 'a b' }, 'id: must be letters, digits, hyphens (-) and underscores (_)'],
    ['no version', { version: undefined }, 'version: is missing'],
    [
      'an unknown field',
      { libary_path: '/x' },
      'libary_path: is no field of an entry; did you mean library_path?',
    ],
    ['a field that only the node writes', { is_valid: true }, 'is_valid: is no field of an entry'],
    ['an image that is none', { image: 'Not An Image' }, /^image: image reference "Not An Image": /.source],
  ])('with %s is refused', async (_what, changes, message) => {
    const catalog = await open();
    const draft = { ...DRAFT, ...changes } as ControllerDraft;
    const error: unknown = await catalog.register(draft).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'invalid_entry' });
    if (message.startsWith('^')) expect((error as Error).message).toMatch(new RegExp(message));
    else expect((error as Error).message).toBe(message);
    expect(onDisk()).toEqual([]);
  });

  it('is refused when there is one of that id and version', async () => {
    const catalog = await open();
    await catalog.register(DRAFT);
    await expect(catalog.register(DRAFT)).rejects.toMatchObject({ code: 'exists' });
    await catalog.register({ ...DRAFT, version: '2.0' });
    await expect(catalog.update('mine', '2.0', { version: '1.0' })).rejects.toMatchObject({ code: 'exists' });
    expect(names(catalog)).toEqual(['mine@1.0', 'mine@2.0']);
  });

  it('can be changed field by field', async () => {
    const catalog = await open({ validation: { enabled: false } });
    await catalog.register({ ...DRAFT, warm: 2, description: 'old' });
    const changed = await catalog.update('mine', undefined, {
      warm: null,
      description: 'new',
      max_instances: 5,
    });
    expect(changed).toMatchObject({ warm: 0, description: 'new', max_instances: 5, image: 'mine:1' });
    expect(onDisk()[0]).not.toHaveProperty('warm');
    await expect(catalog.update('mine', undefined, { id: 'x' } as object)).rejects.toMatchObject({
      code: 'invalid_entry',
      message: 'id: cannot be changed',
    });
    await expect(catalog.update('mine', undefined, { image: null })).rejects.toMatchObject({
      code: 'invalid_entry',
    });
    await expect(catalog.update('mine', undefined, { source: 'discovered' } as object)).rejects.toMatchObject(
      {
        code: 'invalid_entry',
      },
    );
    await expect(catalog.update('mine', '9', {})).rejects.toMatchObject({ code: 'version_not_found' });
    await expect(catalog.update('nope', undefined, {})).rejects.toMatchObject({
      code: 'controller_not_found',
    });
  });

  it('is looked at anew when its library is another one', async () => {
    driver.addImage('mine:1', {}, { [LIBRARY]: good });
    const catalog = await open();
    await catalog.register(DRAFT);
    expect(await catalog.update('mine', undefined, { library_path: '/nowhere.so' })).toMatchObject({
      is_valid: false,
      validate_info: 'Library file not found at path: /nowhere.so',
    });
    expect(await catalog.update('mine', undefined, { library_path: LIBRARY })).toMatchObject({
      is_valid: true,
    });
    expect(driver.calls.create).toBe(3);
    await catalog.update('mine', undefined, { warm: 1 });
    expect(driver.calls.create).toBe(3);
  });

  it('that was discovered stays so until a person changes what the image says of it', async () => {
    addRosco();
    const catalog = await open();
    await catalog.discover();
    expect(await catalog.update('rosco', undefined, { idle_timeout: '1m' })).toMatchObject({
      source: 'discovered',
    });
    expect(await catalog.update('rosco', undefined, { description: 'mine' })).toMatchObject({
      source: 'manual',
    });
    expect((await catalog.discover()).skipped).toHaveLength(1);
    expect(catalog.find('rosco')).toMatchObject({ description: 'mine', idle_timeout: 60_000 });
  });

  it('is removed, and of several versions the one that is named', async () => {
    const catalog = await open();
    await catalog.register(DRAFT);
    await catalog.register({ ...DRAFT, version: '2.0' });
    await expect(catalog.remove('mine')).rejects.toMatchObject({
      code: 'ambiguous',
      details: { id: 'mine', versions: ['1.0', '2.0'] },
    });
    await catalog.remove('mine', '1.0');
    await catalog.remove('mine');
    expect(onDisk()).toEqual([]);
    await expect(catalog.remove('mine')).rejects.toMatchObject({
      code: 'controller_not_found',
      message: 'Controller not found: mine',
    });
  });

  it('is removed with those of its key that do not count', async () => {
    writeFileSync(temp.file, JSON.stringify({ controllers: [{ ...DRAFT, image: 'old:1' }, DRAFT] }));
    const catalog = await open();
    await catalog.remove('mine');
    expect(onDisk()).toEqual([]);
  });

  it('is in force as soon as it is in the file, and looked at', async () => {
    driver.addImage('mine:1', {}, { [LIBRARY]: Buffer.from('no library') });
    const catalog = await open();
    writeFileSync(temp.file, JSON.stringify({ controllers: [DRAFT] }));
    await expect
      .poll(() => catalog.find('mine')?.validate_info, PATIENCE)
      .toBe(`Library file at ${LIBRARY} is no ELF file`);
    expect(onDisk()).toMatchObject([{ ...DRAFT, is_valid: false }]);
  });
});

describe('the catalog', () => {
  it('tells of every change, whatever a listener does', async () => {
    const catalog = await open({ validation: { enabled: false } });
    const seen: string[][] = [];
    using _bad = catalog.subscribe(() => {
      throw new Error('not my day');
    });
    const subscription = catalog.subscribe((controllers) => void seen.push(controllers.map(({ id }) => id)));
    await catalog.register(DRAFT);
    await catalog.update('mine', undefined, { warm: 1 });
    await catalog.remove('mine');
    subscription[Symbol.dispose]();
    await catalog.register(DRAFT);
    expect(seen).toEqual([['mine'], ['mine'], []]);
  });

  it('says what is wrong with its file, and refuses to write meanwhile', async () => {
    const catalog = await open();
    writeFileSync(temp.file, '{"controllers": [\n');
    await expect.poll(() => catalog.problem?.line, PATIENCE).toBe(2);
    await expect(catalog.register(DRAFT)).rejects.toMatchObject({ code: 'catalog_broken' });
    expect(readFileSync(temp.file, 'utf8')).toBe('{"controllers": [\n');
  });

  it('that is closed refuses calls, and ends those under way', async () => {
    addRosco();
    const catalog = await open({ validation: { enabled: false } });
    await catalog.discover();
    using _hang = driver.hang('readFile');
    const validating = catalog.validate('rosco').catch((error: unknown) => error);
    await expect.poll(() => driver.calls.readFile, PATIENCE).toBe(1);
    await catalog.close();
    expect(await validating).toMatchObject({ code: 'closed' });
    expect(driver.instances.size).toBe(0);
    await expect(catalog.register(DRAFT)).rejects.toMatchObject({ code: 'closed' });
    await catalog.close();
  });

  it('that is closed does not wait for an engine that hangs, which leaves nothing when it answers', async () => {
    addRosco();
    const clock = new VirtualClock();
    const catalog = await open({ validation: { enabled: false }, clock });
    await catalog.discover();
    const hang = driver.hang('create');
    const validating = catalog.validate('rosco').catch((error: unknown) => error);
    await expect.poll(() => driver.calls.create, PATIENCE).toBe(1);
    let isClosed = false;
    const closing = catalog.close().then(() => (isClosed = true));
    expect(await validating).toMatchObject({ code: 'closed' });
    await clock.pass(4_999);
    expect(isClosed).toBe(false);
    await clock.pass(1);
    await closing;
    hang[Symbol.dispose]();
    await expect.poll(() => driver.calls.remove, PATIENCE).toBe(1);
  });

  it('can be closed before it was started', async () => {
    const options = { file: temp.file, owner: OWNER, liveTest: LIVE_TEST };
    const discovery = { mode: 'startup', intervalMs: 1, removeMissing: false, followImages: true } as const;
    const validation = { enabled: true, verifySymbols: true, isLive: false };
    const catalog = new Catalog(
      { ...options, discovery, validation },
      { driver, clock: systemClock, logger: SILENT_LOGGER },
    );
    await catalog.close();
    expect(driver.calls.listImages).toBe(0);
  });
});
