import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Catalog } from '../../../src/catalog/catalog.ts';
import type { Controller } from '../../../src/catalog/controller.ts';
import type { CatalogOptions } from '../../../src/catalog/options.ts';
import { VALIDATION_LABEL } from '../../../src/catalog/brief-containers.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import { OWNER_LABEL } from '../../../src/runtime/owner-label.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { DockerRun } from '../../support/docker.ts';
import { writeLibrary } from '../../support/elf-writer.ts';
import type { FileTree } from '../../support/fake-files.ts';
import { importFileImage } from '../../support/file-image.ts';
import { library } from '../../support/libraries.ts';
import { LIVE_TEST } from '../../support/catalog.ts';
import { PATIENCE } from '../../support/patience.ts';
import { TestRegistry } from '../../support/registry.ts';

const LIBRARY = '/controller/libdiscon.so';
const VALID = `Controller is valid, library file exists at ${LIBRARY}`;

let run: DockerRun;
let driver: DockerDriver;
let directory: string;
let catalog: Catalog;
let real: Buffer;
let count = 0;

beforeAll(async () => {
  run = await DockerRun.start();
  driver = new DockerDriver();
  real = library();
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
  await run[Symbol.asyncDispose]();
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-catalog-'));
});
afterEach(async () => {
  await catalog.close();
  rmSync(directory, { recursive: true, force: true });
  expect(await driver.list({ [OWNER_LABEL]: run.id })).toEqual([]);
});

async function open(
  discovery: Partial<CatalogOptions['discovery']> = {},
  validation: Partial<CatalogOptions['validation']> = {},
): Promise<void> {
  catalog = new Catalog(
    {
      file: join(directory, 'controllers.json'),
      owner: run.id,
      discovery: {
        mode: 'manual',
        intervalMs: 60_000,
        removeMissing: true,
        followImages: false,
        ...discovery,
      },
      validation: { enabled: true, verifySymbols: true, isLive: false, ...validation },
      liveTest: { ...LIVE_TEST, network: run.network, startTimeoutMs: 20_000, answerTimeoutMs: 3_000 },
    },
    { driver, clock: systemClock, logger: SILENT_LOGGER },
  );
  await catalog.start();
}

function labelsOf(id: string): Record<string, string> {
  return {
    'org.discon.type': 'controller',
    'org.discon.controller.id': id,
    'org.discon.controller.name': 'A controller',
    'org.discon.controller.version': '2.9.4',
    'org.discon.controller.library_path': LIBRARY,
    'org.discon.controller.proc_name': 'DISCON',
    'org.discon.controller.ports': '{"internal": 9000, "external": 0}',
  };
}

/** An id that no other test uses; several look at the images of one engine. */
function newId(): string {
  count += 1;
  return `test-${run.id.slice(0, 8)}-${count}`;
}

/** An image of these files and nothing else, and what the catalog makes of it. */
async function discovered(files: FileTree): Promise<Controller> {
  const id = newId();
  await run.makeImage({ labels: labelsOf(id), files });
  await open();
  await catalog.discover();
  const found = catalog.find(id);
  if (found === undefined) throw new Error(`${id} was not found`);
  return found;
}

describe('discovery on a real engine', () => {
  it('finds an image by its labels and validates it, although it holds no program at all', async () => {
    const found = await discovered({ [LIBRARY]: real });
    const image = await driver.findImage(found.image);
    expect(found).toMatchObject({
      name: 'A controller',
      version: '2.9.4',
      ports: { internal: 9000, external: 0 },
      source: 'discovered',
      digest: image?.id,
      is_valid: true,
      validate_info: VALID,
      validation: { digest: image?.id, format: expect.stringContaining('ELF 64-bit') as string },
    });
    expect(catalog.resolve({ path: `discon-${found.id}` }).controller.id).not.toBe('default');
    expect(catalog.resolve({ controller: found.id, version: '2' })).toMatchObject({ libraryPath: LIBRARY });
  });

  it('line 14: skips an image without a name, derives a missing id, and refuses one with a period', async () => {
    const { 'org.discon.controller.name': _name, ...nameless } = labelsOf(newId());
    const { 'org.discon.controller.id': _id, ...idless } = labelsOf(newId());
    const skipped = await run.makeImage({ labels: nameless });
    const derived = await run.makeImage({ labels: idless, files: { [LIBRARY]: real } });
    const refused = await run.makeImage({ labels: labelsOf('a.b') });
    await open();
    const report = await catalog.discover();
    const reasonOf = (image: string) => report.skipped.find((each) => each.image === image)?.reason;
    expect(reasonOf(skipped)).toBe('label org.discon.controller.name is missing');
    expect(reasonOf(refused)).toMatch(/^controller ID "a\.b" contains periods/);
    expect(catalog.find(derived.replaceAll(/[/:]/g, '-'))).toMatchObject({ is_valid: true, image: derived });
  });

  it('sees images come and go', async () => {
    await open({ mode: 'startup', followImages: true });
    await expect.poll(() => catalog.lastDiscovery, PATIENCE).toBeDefined();
    const id = newId();
    const reference = await run.makeImage({ labels: labelsOf(id), files: { [LIBRARY]: real } });
    await expect.poll(() => catalog.find(id)?.is_valid, PATIENCE).toBe(true);
    // Another node of this engine may be reading it.
    await run.docker.getImage(reference).remove({ force: true });
    await expect.poll(() => catalog.find(id), PATIENCE).toBeUndefined();
  });

  it('looks again when a tag is given to another image', async () => {
    const id = newId();
    const reference = await run.makeImage({ labels: labelsOf(id), files: { [LIBRARY]: real } });
    await open({ mode: 'startup', followImages: true });
    await expect.poll(() => catalog.find(id)?.is_valid, PATIENCE).toBe(true);
    const before = catalog.find(id);
    await importFileImage(run.docker, reference, { labels: labelsOf(id) });
    await expect
      .poll(() => catalog.find(id)?.validate_info, PATIENCE)
      .toBe(`Library file not found at path: ${LIBRARY}`);
    // It has lost its only name, and would stay.
    await run.docker.getImage(before?.digest ?? '').remove({ force: true });
    expect(catalog.find(id)?.digest).not.toBe(before?.digest);
    expect(catalog.find(id)?.created_at).toBe(before?.created_at);
  });

  it('pins an image of a registry to the digest that it has there', async () => {
    await using registry = await TestRegistry.start(run.docker);
    const id = newId();
    const reference = await registry.push(`app-${run.id.slice(0, 8)}`, (docker, name) =>
      importFileImage(docker, name, { labels: labelsOf(id), files: { [LIBRARY]: real } }),
    );
    await driver.pullImage(reference, {});
    await open();
    await catalog.discover();
    const found = catalog.find(id);
    await run.docker.getImage(reference).remove({ force: true });
    expect(found?.digest).toMatch(/^127\.0\.0\.1:\d+\/.*@sha256:[0-9a-f]{64}$/);
    expect(found).toMatchObject({ is_valid: true, image: reference });
  });
});

describe('validation on a real engine', () => {
  it('follows links to the library', async () => {
    const found = await discovered({
      [LIBRARY]: { link: 'libdiscon.so.2' },
      '/controller/libdiscon.so.2': { link: '/opt/rosco/libdiscon.so.2.9.4' },
      '/opt/rosco': { link: '../usr/rosco' },
      '/usr/rosco/libdiscon.so.2.9.4': real,
    });
    expect(found).toMatchObject({ is_valid: true, validate_info: VALID });
  });

  it.each<[what: string, files: () => FileTree, info: RegExp]>([
    ['there is no library', () => ({}), /^Library file not found at path: \/controller\/libdiscon\.so$/],
    ['a link leads nowhere', () => ({ [LIBRARY]: { link: '/nowhere.so' } }), /^Library file not found/],
    [
      'there is a directory',
      () => ({ [LIBRARY]: 'directory' }),
      /^Library file not found .*; what is there is no file$/,
    ],
    [
      'the procedure is missing',
      () => ({ [LIBRARY]: library('int discon_(void) { return 0; }') }),
      /: symbol DISCON not found; did you mean discon_\?; a Fortran procedure gets its name by bind\(C, name="DISCON"\)$/,
    ],
    [
      'it is for another machine',
      () => ({
        [LIBRARY]: writeLibrary(
          { is64Bit: true, isLittleEndian: false, machine: 22, hasSections: true, hash: 'sysv' },
          ['DISCON'],
        ),
      }),
      /is for another machine: it is ELF 64-bit s390x, and the engine runs \w+$/,
    ],
    ['it is no library', () => ({ [LIBRARY]: Buffer.from('#!/bin/sh\n') }), /is a script$/],
  ])('says what is wrong when %s', async (_what, files, info) => {
    expect(await discovered(files())).toMatchObject({
      is_valid: false,
      validate_info: expect.stringMatching(info) as string,
    });
  });

  it('takes a path from the labels for nothing but a path', async () => {
    const id = newId();
    const path = '/controller/$(touch x); `id` lib "q".so';
    const labels = { ...labelsOf(id), 'org.discon.controller.library_path': path };
    await run.makeImage({ labels, files: { [path]: real } });
    await open();
    await catalog.discover();
    expect(catalog.find(id)).toMatchObject({ is_valid: true, library_path: path });
  });

  it('removes what a crash left, and leaves alone what is not its own', async () => {
    const labels = { [OWNER_LABEL]: run.id, [VALIDATION_LABEL]: 'true' };
    const mine = await driver.create({ ...run.plan(), labels: { ...run.labels, ...labels } });
    const others = await driver.create({
      ...run.plan(),
      labels: { ...run.labels, ...labels, [OWNER_LABEL]: 'another-node' },
    });
    await open();
    await expect.poll(() => driver.inspect(mine), PATIENCE).toBeUndefined();
    expect(await driver.inspect(others)).toBeDefined();
  });

  it('of an entry made by hand works on an image that is no controller by its labels', async () => {
    const image = await run.makeImage({ files: { [LIBRARY]: real } });
    await open();
    const draft = { id: newId(), version: '1', image, library_path: LIBRARY, proc_name: 'DISCON' };
    expect(await catalog.register(draft)).toMatchObject({
      is_valid: true,
      validate_info: VALID,
      source: 'manual',
    });
    await catalog.discover();
    expect(catalog.find(draft.id)).toBeDefined();
  });
});
