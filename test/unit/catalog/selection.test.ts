import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Controller } from '../../../src/catalog/controller.ts';
import type { CatalogError } from '../../../src/catalog/errors.ts';
import { type ControllerQuery, QUERY_LIMITS, resolve } from '../../../src/catalog/selection.ts';
import { entry } from './entries.ts';

const broken = { is_valid: false, validate_info: 'Library file not found at path: /x.so' };

/** What serves, as `id@version`, or the code of the refusal. */
function chosen(entries: readonly Controller[], query: ControllerQuery): string {
  try {
    const { controller } = resolve(entries, query);
    return `${controller.id}@${controller.version}`;
  } catch (error) {
    return (error as CatalogError).code;
  }
}

const ROSCO = [
  entry('rosco', '2.8.0'),
  entry('rosco', '2.9.4'),
  entry('rosco', 'v2.10.1'),
  entry('rosco', '3.0.0-rc1'),
  entry('rosco', 'main'),
];
const SEVERAL = [
  entry('first', '1.0'),
  entry('rosco', '2.9.4'),
  entry('main', '1.0'),
  entry('rosco-main', '5.0'),
  entry('default', '0.1'),
  entry('my-default', '0.2'),
  entry('rosco-v2_9_4', '2.9.4'),
];

const RULES: [rule: string, entries: readonly Controller[], query: ControllerQuery, outcome: string][] = [
  ['an id', SEVERAL, { controller: 'first' }, 'first@1.0'],
  ['an id that nobody has', SEVERAL, { controller: 'nope' }, 'controller_not_found'],
  ['an id in other letters', SEVERAL, { controller: 'ROSCO' }, 'controller_not_found'],
  ['an id before a path', SEVERAL, { controller: 'first', path: 'rosco' }, 'first@1.0'],
  ['an id: its highest version', ROSCO, { controller: 'rosco' }, 'rosco@v2.10.1'],
  ['an id with nothing but pre-releases', [entry('a', '1.0.0-rc1')], { controller: 'a' }, 'a@1.0.0-rc1'],
  ['an id with no version in order', [entry('a', 'main')], { controller: 'a' }, 'a@main'],
  ['an id and its exact version', ROSCO, { controller: 'rosco', version: '2.8.0' }, 'rosco@2.8.0'],
  ['an id and a version without its v', ROSCO, { controller: 'rosco', version: '2.10.1' }, 'rosco@v2.10.1'],
  ['an id and a version with a v too many', ROSCO, { controller: 'rosco', version: 'v2.9.4' }, 'rosco@2.9.4'],
  ['an id and part of a version', ROSCO, { controller: 'rosco', version: '2.9' }, 'rosco@2.9.4'],
  ['an id and a major version', ROSCO, { controller: 'rosco', version: '2' }, 'rosco@v2.10.1'],
  ['an id and a range', ROSCO, { controller: 'rosco', version: '>=2.8 <2.10' }, 'rosco@2.9.4'],
  ['an id and a caret', ROSCO, { controller: 'rosco', version: '^2.8.0' }, 'rosco@v2.10.1'],
  ['a range does not mean pre-releases', ROSCO, { controller: 'rosco', version: '3' }, 'version_not_found'],
  ['a pre-release by name', ROSCO, { controller: 'rosco', version: '3.0.0-rc1' }, 'rosco@3.0.0-rc1'],
  ['a version that is a word', ROSCO, { controller: 'rosco', version: 'main' }, 'rosco@main'],
  ['a version that nobody has', ROSCO, { controller: 'rosco', version: '9.9' }, 'version_not_found'],
  ['a version that is no range', ROSCO, { controller: 'rosco', version: '><' }, 'version_not_found'],
  ['a version of another id', SEVERAL, { controller: 'rosco', version: '5.0' }, 'version_not_found'],
  [
    'the exact text before a higher one in range',
    [entry('a', '2.9'), entry('a', '2.9.4')],
    { controller: 'a', version: '2.9' },
    'a@2.9',
  ],
  [
    'equal versions: the first in the file',
    [entry('a', '1.0.0'), entry('a', 'v1')],
    { controller: 'a' },
    'a@1.0.0',
  ],
  ['a path that is an id', SEVERAL, { path: 'rosco' }, 'rosco@2.9.4'],
  ['a path whose whole is an id before its last piece', SEVERAL, { path: 'rosco-main' }, 'rosco-main@5.0'],
  ['a path that ends in default', SEVERAL, { path: 'my-default' }, 'my-default@0.2'],
  ['a path whose last piece is an id', SEVERAL, { path: 'discon-server-rosco' }, 'rosco@2.9.4'],
  ['a path with a hyphen at its end', SEVERAL, { path: 'rosco-' }, 'default@0.1'],
  ['a path and a version', ROSCO, { path: 'server-rosco', version: '2.8' }, 'rosco@2.8.0'],
  ['a path and a version that it has not', ROSCO, { path: 'rosco', version: '9.9' }, 'version_not_found'],
  ['a path that names nobody', SEVERAL, { path: '/app/build/libdiscon.so' }, 'default@0.1'],
  ['a path that names nobody, and a version', SEVERAL, { path: '/x.so', version: '2.9' }, 'rosco@2.9.4'],
  [
    'a path that names nobody, and no such version',
    SEVERAL,
    { path: '/x.so', version: '9' },
    'version_not_found',
  ],
  ['a version over all', SEVERAL, { version: '5' }, 'rosco-main@5.0'],
  ['a version that several have: the first in the file', SEVERAL, { version: '2.9.4' }, 'rosco@2.9.4'],
  [
    'a version that several have: the default',
    [entry('a', '1.0'), entry('default', '1.0')],
    { version: '1.0' },
    'default@1.0',
  ],
  [
    'a version that several have: the id of the first entry',
    [entry('b', '0.9'), entry('a', '1.0'), entry('b', '1.0')],
    { version: '1.0' },
    'b@1.0',
  ],
  ['a version that nobody has over all', SEVERAL, { version: '9.9' }, 'version_not_found'],
  ['nothing: the default', SEVERAL, {}, 'default@0.1'],
  [
    'nothing: the highest of several defaults',
    [entry('default', '1'), entry('default', '2')],
    {},
    'default@2',
  ],
  ['nothing, without a default: the first', [entry('b', '1'), entry('a', '9')], {}, 'b@1'],
  [
    'empty texts are as good as none',
    SEVERAL,
    { controller: '', version: '', path: '', proc: '' },
    'default@0.1',
  ],
  ['nothing of nothing', [], {}, 'no_controllers'],
  ['anything of nothing', [], { controller: 'rosco' }, 'no_controllers'],
  [
    'an invalid one by name',
    [entry('a', '1', broken), entry('b', '1')],
    { controller: 'a' },
    'controller_invalid',
  ],
  [
    'an invalid one by path',
    [entry('a', '1', broken), entry('b', '1')],
    { path: 'x-a' },
    'controller_invalid',
  ],
  [
    'an invalid version, and a lower one',
    [entry('a', '2.9.1'), entry('a', '2.9.2', broken)],
    { controller: 'a', version: '2.9' },
    'a@2.9.1',
  ],
  [
    'an invalid version, exactly',
    [entry('a', '2.9.1'), entry('a', '2.9.2', broken)],
    { controller: 'a', version: '2.9.2' },
    'controller_invalid',
  ],
  ['an invalid highest version', [entry('a', '1'), entry('a', '2', broken)], { controller: 'a' }, 'a@1'],
  [
    'an invalid default: its next version',
    [entry('default', '2', broken), entry('default', '1')],
    {},
    'default@1',
  ],
  ['an invalid default: the first', [entry('a', '1'), entry('default', '2', broken)], {}, 'a@1'],
  ['an invalid first: the next', [entry('a', '1', broken), entry('b', '1')], {}, 'b@1'],
  [
    'an invalid version of one, valid of another',
    [entry('a', '1', broken), entry('b', '1')],
    { version: '1' },
    'b@1',
  ],
  ['nothing but invalid ones', [entry('a', '1', broken)], {}, 'no_controllers'],
];

describe('the choice of a controller', () => {
  it.each(RULES)('%s', (_rule, entries, query, outcome) => {
    expect(chosen(entries, query)).toBe(outcome);
  });

  it('is the same, whatever else there is, for an id and a version', () => {
    const ids = fc.constantFrom('a', 'b', 'default', 'c-a');
    const versions = fc.constantFrom('1.0', '1.1', 'v2', 'main', '');
    const entries = fc.array(
      fc
        .record({ id: ids, version: versions, is_valid: fc.boolean() })
        .map(({ id, version, is_valid }) => entry(id, version, { is_valid })),
      { minLength: 1, maxLength: 8 },
    );
    const part = (values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
    const query = fc.record({
      controller: part(['a', 'b', 'none']),
      version: part(['1', '1.0', '>1', 'main', 'x']),
      path: part(['a', 'x-b', '/lib.so']),
    });
    fc.assert(
      fc.property(entries, query, (all, asked) => {
        const outcome = chosen(all, asked);
        expect(chosen(structuredClone(all), asked)).toBe(outcome);
        if (!outcome.includes('@')) return;
        const { controller } = resolve(all, asked);
        expect(controller.is_valid).toBe(true);
        expect(all).toContain(controller);
        if (asked.controller !== undefined) expect(controller.id).toBe(asked.controller);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what a connection gets', () => {
  it('line 2: what the stock client sends leads to the id, with the path and procedure of the entry', () => {
    expect(
      resolve([entry('default', '1'), entry('rosco', '2.9.4')], { path: 'rosco', proc: 'DISCON' }),
    ).toMatchObject({
      controller: { id: 'rosco' },
      libraryPath: '/controller/rosco.so',
      procName: 'DISCON',
      isPathIgnored: false,
    });
  });

  it('line 3: says what was not found, in the words that clients know', () => {
    const entries = [entry('rosco', '2.9.4')];
    expect(() => resolve(entries, { controller: 'nope' })).toThrow('Controller not found: nope');
    expect(() => resolve(entries, { version: '9.9' })).toThrow('Controller version not found: 9.9');
    expect(() => resolve([], {})).toThrow(/^No controllers available$/);
  });

  it('line 4: keeps the procedure of one client from the next', () => {
    const entries = [entry('rosco', '2.9.4')];
    expect(resolve(entries, { path: 'rosco', proc: 'X' }).procName).toBe('X');
    expect(resolve(entries, { path: 'rosco' }).procName).toBe('DISCON');
    expect(entries).toEqual([entry('rosco', '2.9.4')]);
  });

  it('line 5: takes a path for an id, or for the default, and never by chance', () => {
    const entries = [entry('rosco', '1'), entry('rosco-v2_9_4', '2.9.4'), entry('default', '1')];
    expect(chosen(entries, { path: 'discon-server-rosco' })).toBe('rosco@1');
    expect(chosen(entries, { path: 'rosco-v2_9_4' })).toBe('rosco-v2_9_4@2.9.4');
    for (let time = 0; time < 20; time += 1) {
      expect(chosen(entries, { path: '/app/build/libdiscon.so' })).toBe('default@1');
    }
  });

  it('is its own library path only where the entry allows that', () => {
    const path = '/app/build/libdiscon.so';
    expect(resolve([entry('default', '1')], { path })).toMatchObject({
      libraryPath: '/controller/default.so',
      isPathIgnored: true,
    });
    const allowing = [entry('default', '1', { allow_path: true })];
    expect(resolve(allowing, { path })).toMatchObject({ libraryPath: path, isPathIgnored: false });
    expect(resolve(allowing, { path, controller: 'default' })).toMatchObject({ libraryPath: path });
    expect(resolve(allowing, { path: 'default' }).libraryPath).toBe('/controller/default.so');
  });

  it('says why an invalid one is not served', () => {
    const entries = [entry('a', '1', broken)];
    const reason = 'a 1: Library file not found at path: /x.so';
    expect(() => resolve(entries, { controller: 'a' })).toThrow(`Controller is not valid: ${reason}`);
    expect(() => resolve(entries, {})).toThrow(`No controllers available: none of the 1 is valid; ${reason}`);
  });

  it.each(Object.entries(QUERY_LIMITS))('bounds %s to %i characters', (name, limit) => {
    const ask = (value: string) => chosen([entry('a', '1')], { [name]: value });
    expect(ask('x'.repeat(limit + 1))).toBe('bad_query');
    expect(ask('x'.repeat(limit))).not.toBe('bad_query');
    for (const control of ['\0', '\n', '\u001b[1m', '\u007f', '\u0085', '\u2028']) {
      expect(ask(`a${control}`)).toBe('bad_query');
    }
  });
});
