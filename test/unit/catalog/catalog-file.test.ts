import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControllerRecord } from '../../../src/catalog/controller.ts';
import { CatalogFile } from '../../../src/catalog/database/catalog-file.ts';
import { FileWatch } from '../../../src/catalog/database/file-watch.ts';
import { MAX_FILE_BYTES } from '../../../src/catalog/database/read-file.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { PATIENCE } from '../../support/patience.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { TempCatalog } from './temp-catalog.ts';

let temp: TempCatalog;
let lines: { msg: string; problem?: string; warning?: string }[];
let changes: number;
let catalog: CatalogFile;
const logger = createLogger({
  level: 'info',
  destination: { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
});

beforeEach(() => {
  temp = new TempCatalog();
  lines = [];
  changes = 0;
  catalog = new CatalogFile(temp.file, { logger, onChange: () => (changes += 1) });
});
afterEach(() => temp[Symbol.dispose]());

const a: ControllerRecord = { id: 'a', version: '1', image: 'a:1' };
const b: ControllerRecord = { id: 'b', version: '1', image: 'b:1', idle_timeout: '90s' };
const fileOf = (...records: object[]): string => JSON.stringify({ controllers: records });
const onDisk = (): string => readFileSync(temp.file, 'utf8');
const ids = (): string[] => catalog.current.controllers.map(({ id, version }) => `${id}@${version}`);
const add = (record: ControllerRecord) => catalog.change((records) => [...records, record]);

describe('the database file', () => {
  it('is made, empty, with its directory, when it is not there', async () => {
    const file = join(temp.directory, 'deep/down/controllers.json');
    const fresh = new CatalogFile(file, { logger, onChange: () => undefined });
    await fresh.open();
    expect(readFileSync(file, 'utf8')).toBe('{\n  "controllers": []\n}\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(fresh.problem).toBeUndefined();
  });

  it('as another program wrote it is taken as it is', async () => {
    const seed = {
      id: 'rosco',
      name: 'ROSCO',
      version: '2.9.4',
      image: 'discon-server-rosco:2.9.4',
      description: 'two\nlines',
      library_path: '/controller/libdiscon.so',
      proc_name: 'DISCON',
      ports: { internal: 8080, external: 0 },
      created_at: '2025-05-05T12:34:56.789123456+02:00',
      updated_at: '0001-01-01T00:00:00Z',
      is_valid: true,
      validate_info: 'Controller is valid, library file exists at /controller/libdiscon.so',
    };
    writeFileSync(temp.file, `\ufeff${fileOf(seed, { ...seed, id: 'with.period' })}`);
    await catalog.open();
    expect(catalog.problem).toBeUndefined();
    expect(catalog.current.controllers[0]).toMatchObject(seed);
    expect(catalog.current.controllers[0]).toMatchObject({
      sharing: 'exclusive',
      probe: { tcp: 8080 },
      warm: 0,
    });
    expect(ids()).toEqual(['rosco@2.9.4', 'with.period@2.9.4']);
  });

  it('of nothing may say so by null', async () => {
    writeFileSync(temp.file, '{"controllers": null}');
    await catalog.open();
    expect(catalog.problem).toBeUndefined();
    expect(ids()).toEqual([]);
  });

  it('is written in the order it has, two spaces deep, and what a person wrote stays as written', async () => {
    writeFileSync(temp.file, fileOf(b, a));
    await catalog.open();
    await add({ id: 'c', image: 'c:1' });
    expect(onDisk()).toBe(`${JSON.stringify({ controllers: [b, a, { id: 'c', image: 'c:1' }] }, null, 2)}\n`);
    expect(catalog.current.controllers[0]).toMatchObject({ idle_timeout: 90_000 });
  });

  it('keeps its rights, and stays a link where it is one', async () => {
    const target = join(temp.directory, 'elsewhere.json');
    writeFileSync(target, fileOf(a));
    chmodSync(target, 0o640);
    symlinkSync(target, temp.file);
    await catalog.open();
    await add(b);
    expect(statSync(target).mode & 0o777).toBe(0o640);
    expect(readFileSync(target, 'utf8')).toBe(onDisk());
    expect(ids()).toEqual(['a@1', 'b@1']);
  });

  it('counts the last of two entries of one id and version, and says which do not count', async () => {
    writeFileSync(
      temp.file,
      `{"controllers": [\n${JSON.stringify(a)},\n${JSON.stringify(b)},\n${JSON.stringify({ ...a, image: 'new:1' })}]}`,
    );
    await catalog.open();
    expect(ids()).toEqual(['b@1', 'a@1']);
    expect(catalog.current.controllers[1]?.image).toBe('new:1');
    expect(lines.map(({ warning }) => warning)).toEqual([
      'controller a 1 stands in the file more than once; the one in line 2 does not count',
    ]);
  });

  it('of several versions of one id has them all', async () => {
    writeFileSync(temp.file, fileOf(a, { ...a, version: '2' }, { ...a, version: '' }));
    await catalog.open();
    expect(ids()).toEqual(['a@1', 'a@2', 'a@']);
  });

  it('hands out entries that nobody can change', async () => {
    writeFileSync(temp.file, fileOf({ ...a, env: { A: 'b' } }));
    await catalog.open();
    const [entry] = catalog.current.controllers as unknown as [
      { image: string; ports: { internal: number }; env: object },
    ];
    expect(() => (entry.image = 'x')).toThrow(TypeError);
    expect(() => (entry.ports.internal = 1)).toThrow(TypeError);
    expect(() => Object.assign(entry.env, { A: 'c' })).toThrow(TypeError);
  });
});

describe('a broken edit', () => {
  const BROKEN: [what: string, text: string, problem: string][] = [
    [
      'no JSON',
      '{\n "controllers": [\n  {"id": "a",}\n ]\n}',
      ', line 3, column 13: not JSON: there is a comma too many before }',
    ],
    ['an empty file', '', ': it is empty; a list of nothing is {"controllers": []}'],
    ['half a file', '{"controllers": [', ', line 1, column 18: not JSON: the file ends in the middle'],
    [
      'no object',
      '[]',
      ', line 1, column 1: must be one object with the field controllers, a list of entries, and no other',
    ],
    [
      'no list',
      '{"controllers": {}}',
      ', line 1, column 1: must be one object with the field controllers, a list of entries, and no other',
    ],
    [
      'an entry that is none',
      '{"controllers": [\n5]}',
      ', line 2, column 1: controller number 1: must be of type object',
    ],
    [
      'an unknown field',
      '{"controllers": [\n {"id": "a", "version": "1", "image": "a:1",\n  "libary_path": "/x.so"}]}',
      ', line 3, column 18: controller a 1: libary_path: is no field of an entry; did you mean library_path?',
    ],
    [
      'an unknown field in a field',
      '{"controllers": [{"id": "a", "image": "a:1", "ports": {\n"intern": 80}}]}',
      ', line 2, column 11: controller a: ports.intern: is no field of an entry; did you mean internal?',
    ],
    [
      'a field of another type',
      '{"controllers": [{"id": "a", "image": 5}]}',
      ', line 1, column 39: controller a: image: must be of type string',
    ],
    [
      'a missing field',
      '{"controllers": [{"id": "a"}]}',
      ', line 1, column 18: controller a: image: is missing',
    ],
    [
      'a missing id',
      '{"controllers": [{"image": "a"}]}',
      ', line 1, column 18: controller number 1: id: is missing',
    ],
    [
      'a duration that is none',
      '{"controllers": [{"id": "a", "image": "a", "idle_timeout": "soon"}]}',
      ', line 1, column 60: controller a: idle_timeout: must be a duration such as 30s, 5m or 1h30m, or whole milliseconds',
    ],
    [
      'line 15: a size that is none',
      '{"controllers": [{"id": "a", "image": "a", "resources": {"memory": "abc"}}]}',
      ', line 1, column 68: controller a: resources.memory: must be a size such as 512m or 1g, or whole bytes',
    ],
    [
      'a prototype',
      '{"controllers": [{"id": "a", "image": "a", "__proto__": {"is_valid": true}}]}',
      ', line 1, column 57: controller a: __proto__: is no field of an entry',
    ],
    [
      'a field twice',
      '{"controllers": [{"id": "a", "image": "a", "id": "b"}]}',
      ', line 1, column 44: not JSON: the field "id" stands here twice',
    ],
  ];

  it.each(BROKEN)('%s: is told with its place, and changes nothing', async (_what, text, problem) => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    writeFileSync(temp.file, text);
    await catalog.reload();
    expect(catalog.problem).toMatchObject({ kind: 'broken', message: `${temp.file}${problem}` });
    expect(ids()).toEqual(['a@1']);
    await catalog.reload();
    expect(lines.map((line) => line.problem)).toEqual([
      `${temp.file}${problem}`.slice(0, lines[0]?.problem?.length),
    ]);
  });

  it('is never overwritten: changes of ours are refused until it is mended', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    writeFileSync(temp.file, '{"controllers": [\n{]}');
    await expect(add(b)).rejects.toMatchObject({
      code: 'catalog_broken',
      details: { file: temp.file, line: 2, column: 2 },
    });
    expect(onDisk()).toBe('{"controllers": [\n{]}');
    writeFileSync(temp.file, fileOf(a, { ...a, id: 'mended' }));
    await add(b);
    expect(ids()).toEqual(['a@1', 'mended@1', 'b@1']);
    expect(catalog.problem).toBeUndefined();
  });

  it.each([
    ['too long', () => writeFileSync(temp.file, ' '.repeat(MAX_FILE_BYTES + 1)), /longer than 4194304 bytes/],
    ['not UTF-8', () => writeFileSync(temp.file, Buffer.from([0x7b, 0xff])), /cannot be read/],
    [
      'a directory',
      () => {
        rmSync(temp.file);
        mkdirSync(temp.file);
      },
      /not a file/,
    ],
  ])('%s: is no reason to fail', async (_what, spoil, problem) => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    spoil();
    await catalog.reload();
    expect(catalog.problem).toMatchObject({
      kind: 'broken',
      message: expect.stringMatching(problem) as string,
    });
    expect(ids()).toEqual(['a@1']);
    await expect(add(b)).rejects.toMatchObject({ code: 'catalog_broken' });
  });

  it('at the start leaves the catalog empty, and the file as it is', async () => {
    writeFileSync(temp.file, '{');
    await catalog.open();
    expect(catalog.problem?.kind).toBe('broken');
    expect(ids()).toEqual([]);
    expect(onDisk()).toBe('{');
  });

  it('is none when the file is gone: it is written anew with what is in force', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    rmSync(temp.file);
    await catalog.reload();
    expect(catalog.problem?.kind).toBe('gone');
    expect(ids()).toEqual(['a@1']);
    await add(b);
    expect(JSON.parse(onDisk())).toEqual({ controllers: [a, b] });
    expect(catalog.problem).toBeUndefined();
  });
});

describe('changes by hand and by ours', () => {
  it('lose neither: ours is made to what the file holds then', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    writeFileSync(temp.file, fileOf(b, a));
    await add({ id: 'c', image: 'c:1' });
    expect(ids()).toEqual(['b@1', 'a@1', 'c@']);
  });

  it('lose neither, be it at the last moment before the file is replaced', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    let edits = 0;
    await catalog.change((records) => {
      if ((edits += 1) === 1) writeFileSync(temp.file, fileOf(a, b));
      return [...records, { id: 'c', image: 'c:1' }];
    });
    expect(edits).toBe(2);
    expect(ids()).toEqual(['a@1', 'b@1', 'c@']);
    expect(readdirSync(temp.directory)).toEqual(['controllers.json']);
  });

  it('give up when somebody edits all the time, and leave the file to them', async () => {
    await catalog.open();
    let edits = 0;
    const changing = catalog.change((records) => {
      writeFileSync(temp.file, fileOf({ ...a, version: String((edits += 1)) }));
      return [...records, b];
    });
    await expect(changing).rejects.toMatchObject({ code: 'catalog_unwritable', retryable: true });
    expect(onDisk()).toBe(fileOf({ ...a, version: String(edits) }));
  });

  it('of ours are made one after the other, however many come at once', async () => {
    await catalog.open();
    await Promise.all(Array.from({ length: 20 }, (_, index) => add({ id: `c${index}`, image: 'c:1' })));
    expect(ids()).toEqual(Array.from({ length: 20 }, (_, index) => `c${index}@`));
  });

  it('that cannot be an entry leave file and catalog as they are', async () => {
    await catalog.open();
    const before = onDisk();
    await expect(add({ id: 'x', image: '' })).rejects.toMatchObject({ code: 'invalid_entry' });
    expect(onDisk()).toBe(before);
    await add(a);
    expect(ids()).toEqual(['a@1']);
  });

  it('of nothing write nothing', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    await catalog.change((records) => records);
    expect(onDisk()).toBe(fileOf(a));
  });

  it('survive a crash between writing and renaming', async () => {
    writeFileSync(temp.file, fileOf(a));
    writeFileSync(`${temp.file}.draft`, '{"controllers": [{"id": "half');
    await catalog.open();
    expect(ids()).toEqual(['a@1']);
    await add(b);
    expect(JSON.parse(onDisk())).toEqual({ controllers: [a, b] });
    expect(readdirSync(temp.directory)).toEqual(['controllers.json']);
  });

  it('that cannot be written are told, and not in force', async () => {
    writeFileSync(temp.file, fileOf(a));
    await catalog.open();
    // A directory in the way of the draft; rights would not stop root.
    mkdirSync(`${temp.file}.draft/full`, { recursive: true });
    await expect(add(b)).rejects.toMatchObject({ code: 'catalog_unwritable' });
    expect(ids()).toEqual(['a@1']);
    expect(onDisk()).toBe(fileOf(a));
  });
});

describe('the watch', () => {
  const watched = (): FileWatch =>
    new FileWatch(temp.file, () => void catalog.reload(), { clock: systemClock, logger });

  it('sees an edit, whether the editor writes into the file or puts another in its place', async () => {
    await catalog.open();
    using _watch = watched();
    writeFileSync(temp.file, fileOf(a));
    await expect.poll(ids, PATIENCE).toEqual(['a@1']);
    writeFileSync(`${temp.file}.swp`, fileOf(a, b));
    renameSync(`${temp.file}.swp`, temp.file);
    await expect.poll(ids, PATIENCE).toEqual(['a@1', 'b@1']);
    writeFileSync(temp.file, fileOf(b));
    await expect.poll(ids, PATIENCE).toEqual(['b@1']);
  });

  it('takes what we write ourselves for no edit', async () => {
    await catalog.open();
    using _watch = watched();
    await add(a);
    expect(changes).toBe(2);
    writeFileSync(temp.file, fileOf(b));
    await expect.poll(ids, PATIENCE).toEqual(['b@1']);
    expect(changes).toBe(3);
  });

  it('looks now and then in any case', async () => {
    const clock = new VirtualClock();
    let hints = 0;
    // A directory that is not there cannot be watched.
    const file = join(temp.directory, 'no/such.json');
    using watch = new FileWatch(file, () => (hints += 1), { clock, logger });
    await clock.pass(20_000);
    expect(hints).toBe(4);
    expect(lines.map(({ msg }) => msg)).toEqual([
      'the controllers are not watched, only looked at now and then',
    ]);
    watch[Symbol.dispose]();
    await clock.pass(20_000);
    expect(hints).toBe(4);
  });
});
