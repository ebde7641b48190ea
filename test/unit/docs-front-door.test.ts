import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CONTROLLER_LIMITS, DESCRIBED_FIELDS, ENTRY_FIELDS } from '../../src/catalog/controller.ts';
import { CONTROLLER_IMAGE, readImage } from '../../src/catalog/discovery/image-labels.ts';
import { CATALOG_ERROR_CODES, CatalogError, type CatalogErrorCode } from '../../src/catalog/errors.ts';
import { QUERY_LIMITS } from '../../src/catalog/selection.ts';
import { SETTING_KEYS, isSettingKey } from '../../src/config/settings.ts';
import { QUERY_NAMES, QueryError, readQuery } from '../../src/frontdoor/query.ts';
import { refusalOf } from '../../src/frontdoor/refused.ts';
import { INSTANCE_ERROR_CODES, InstanceError, type InstanceErrorCode } from '../../src/instances/errors.ts';

const DOOR = readFileSync('docs/front-door.md', 'utf8');
const CATALOG = readFileSync('docs/catalog.md', 'utf8');

/** The rows of the table below a heading, each as its cells. */
function rowsBelow(page: string, heading: string): string[][] {
  const [, section = ''] = page.split(`\n${heading}\n`);
  const lines = section.split(/\n#+ /, 1)[0]?.split('\n') ?? [];
  const rows = lines.filter((line) => line.startsWith('|')).slice(2);
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** What stands in backticks. */
function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

describe('the query of the front door', () => {
  const rows = rowsBelow(DOOR, '## What a client asks with');

  it('has every name that is looked at, and no other', () => {
    expect(rows.map(([name = '']) => codeIn(name)[0])).toEqual([...QUERY_NAMES]);
  });

  it.each(rows.map(([name = '', , longest = '']) => [codeIn(name)[0] ?? '', Number(longest)] as const))(
    'the longest %s is %i characters',
    (name, longest) => {
      const limits: Readonly<Record<string, number>> = QUERY_LIMITS;
      const isTaken = (length: number): boolean => {
        try {
          readQuery(`${name}=${'a'.repeat(length)}`);
          return length <= (limits[name] ?? length);
        } catch (error) {
          if (error instanceof QueryError) return false;
          throw error;
        }
      };
      expect([isTaken(longest), isTaken(longest + 1)]).toEqual([true, false]);
    },
  );
});

describe('the answers of the front door', () => {
  const rows = rowsBelow(DOOR, '## What it is answered with');
  const statusOf = (code: string): number =>
    Number(rows.find(([, , reasons = '']) => codeIn(reasons).includes(code))?.[0]);
  const resolving = [
    'controller_not_found',
    'version_not_found',
    'no_controllers',
    'controller_invalid',
    'bad_query',
  ];

  it.each(resolving as CatalogErrorCode[])('say what %s is answered with', (code) => {
    expect(CATALOG_ERROR_CODES).toHaveProperty(code);
    expect(refusalOf(new CatalogError(code, 'why'))?.status).toBe(statusOf(code));
  });

  it.each(Object.keys(INSTANCE_ERROR_CODES) as InstanceErrorCode[])(
    'say what %s is answered with',
    (code) => {
      expect(refusalOf(new InstanceError(code, 'why'))?.status).toBe(statusOf(code));
    },
  );

  it('name no code that there is not', () => {
    const named = rows.flatMap(([, , reasons = '']) => codeIn(reasons));
    expect(named.toSorted()).toEqual([...resolving, ...Object.keys(INSTANCE_ERROR_CODES)].toSorted());
  });

  it('are in order', () => {
    const statuses = rows.map(([status]) => Number(status));
    expect(statuses).toEqual(statuses.toSorted((a, b) => a - b));
  });
});

describe('the settings that the pages name', () => {
  it.each([
    ['frontdoor.', DOOR],
    ['catalog.', CATALOG],
  ])('every setting of %s* is there', (section, page) => {
    const missing = SETTING_KEYS.filter((key) => key.startsWith(section) && !page.includes(`\`${key}`));
    expect(missing).toEqual([]);
  });

  it('there is none that the table of settings does not have', () => {
    const named = [...`${DOOR}${CATALOG}`.matchAll(/`((?:frontdoor|catalog|limits|auth)\.[a-z_]+)/g)];
    expect(named.length).toBeGreaterThan(20);
    const unknown = named.map(([, key = '']) => key).filter((key) => !isSettingKey(key));
    // One is named as what is to be taken out.
    expect(unknown.filter((key) => key !== 'auth.password')).toEqual([]);
  });

  it('the fields that count before them are fields of an entry', () => {
    const fields = rowsBelow(DOOR, '## Limits').flatMap(([, , field = '']) => codeIn(field));
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => !ENTRY_FIELDS['']?.includes(field))).toEqual([]);
  });
});

describe('the fields of an entry', () => {
  it('are all there, in their order', () => {
    const rows = rowsBelow(CATALOG, '### Fields');
    expect(rows.map(([field = '']) => codeIn(field)[0])).toEqual(ENTRY_FIELDS['']);
  });

  it.each(['ports', 'resources', 'probe'])('%s says what is inside', (field) => {
    const row = rowsBelow(CATALOG, '### Fields').find(([name = '']) => codeIn(name)[0] === field);
    expect(codeIn(row?.[1] ?? '')).toEqual(expect.arrayContaining([...(ENTRY_FIELDS[field] ?? [])]));
  });
});

describe('the labels of an image', () => {
  const rows = rowsBelow(CATALOG, '## Discovery').map(([label = '', says = '']) => ({
    label: codeIn(label)[0] ?? '',
    field: codeIn(says)[0] ?? '',
  }));
  const whole = Object.fromEntries(rows.map(({ label }) => [label, valueFor(label)]));

  function valueFor(label: string): string {
    if (label.endsWith('.ports')) return '{"internal":81,"external":82}';
    return label.endsWith('.created') ? '2025-01-31T12:00:00.000Z' : `some-${label.split('.').at(-1)}`;
  }

  function read(labels: Readonly<Record<string, string>>): unknown {
    const found = readImage({
      ...{
        id: `sha256:${'a'.repeat(64)}`,
        tags: ['app:1'],
        digests: [],
        architecture: 'amd64',
        createdAtMs: 0,
      },
      labels: { ...CONTROLLER_IMAGE, ...labels },
    });
    if (found.kind === 'skipped') return found.skipped.reason;
    const { draft, createdAt } = found.controller;
    return { ...draft, createdAt };
  }

  it('are one for each field that an image speaks of, and for when it was made', () => {
    const spoken = DESCRIBED_FIELDS.filter((field) => field !== 'image');
    expect(rows.map(({ label }) => label.split('.').at(-1)).toSorted()).toEqual(
      [...spoken, 'created'].toSorted(),
    );
    for (const [name, value] of Object.entries(CONTROLLER_IMAGE))
      expect(CATALOG).toContain(`\`${name}=${value}\``);
  });

  it.each(rows)('$label is read', ({ label }) => {
    const { [label]: _without, ...others } = whole;
    expect(read(whole)).toMatchObject({ id: 'some-id', ports: { internal: 81 } });
    expect(read(others)).not.toEqual(read(whole));
  });
});

it('the bounds of the two parts that read an id are one', () => {
  expect(QUERY_LIMITS.controller).toBe(CONTROLLER_LIMITS.idLength);
});
