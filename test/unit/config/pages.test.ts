import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { FLAGS } from '../../../src/config/flags.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { nearest } from '../../../src/kernel/nearest.ts';
import { printConfig } from '../../../src/config/print.ts';
import { FORMER_KEY_NAMES } from '../../../src/config/former-keys.ts';
import { configurationReference, FORMER_KEYS_TITLE } from '../../../src/config/reference.ts';
import { SETTING_KEYS } from '../../../src/config/settings.ts';

const SECRET = 'canary-'.padEnd(43, 'x');
const SURROUNDINGS = { homeDir: '/home/me', isRoot: false } as const;

describe('config print', () => {
  const env = {
    CONTAINER_MANAGER_AUTH_TOKENS: `ci:full:${SECRET}`,
    CONTAINER_MANAGER_RETENTION_AGE: '36h',
    CONTAINER_MANAGER_DOCKER_NETWORK: 'true',
    CONTAINER_MANAGER_TLS_CERT_FILE: '/a # b',
    CONTAINER_MANAGER_TLS_KEY_FILE: '/a: b',
    CONTAINER_MANAGER_POLICY_NETWORKS: 'a,b',
  };

  test('is a file that means the same', () => {
    const loaded = loadConfig({ ...SURROUNDINGS, env: { ...env, CONTAINER_MANAGER_AUTH_TOKENS: '' } });
    for (const withSource of [true, false]) {
      const flat = flatten(parse(printConfig(loaded, { withSource })) as Record<string, unknown>);
      expect(Object.keys(flat)).toEqual(SETTING_KEYS);
      const texts = Object.entries(flat).map(([key, value]) => [
        `CONTAINER_MANAGER_${key.replaceAll('.', '_').toUpperCase()}`,
        value === null ? '' : String(value),
      ]);
      const again = loadConfig({ ...SURROUNDINGS, env: Object.fromEntries(texts) as Record<string, string> });
      expect(again.config).toEqual(loaded.config);
    }
  });

  test('hides secrets, and says where each value came from', () => {
    const loaded = loadConfig({ ...SURROUNDINGS, env, flags: { port: '81' } });
    const page = printConfig(loaded, { withSource: true });
    expect(page).not.toContain(SECRET);
    expect(page).toMatch(/^ {2}tokens: "\*\*\*" # environment$/m);
    expect(page).toMatch(/^port: 81 # flag$/m);
    expect(page).toMatch(/^ {2}age: 1d12h # environment$/m);
    expect(page).toMatch(/^queue_size: 100 # default$/m);
  });
});

describe('flags', () => {
  test('those of the first version read as they always did', () => {
    const lines = FLAGS.map(
      ({ name, placeholder, description }) => `--${name} ${placeholder} ${description}`,
    );
    expect(lines).toEqual(
      expect.arrayContaining([
        '--listen-address string the address to listen on (default "0.0.0.0")',
        '--log-level string log level (default "info")',
        '--port string the port to listen on (default "8080")',
        '--queue-size int the size of the job queue (default 100)',
        '--worker-count int the number of workers to run (default 10)',
      ]),
    );
  });

  test('no secret has one, no two share a name, and none carries a value', () => {
    expect(FLAGS.map(({ key }) => key)).not.toContain('auth.tokens');
    const names = FLAGS.flatMap(({ name, aliases }) => [name, ...aliases]);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('jrpc-port');
    for (const flag of FLAGS) expect(flag).not.toHaveProperty('default');
  });
});

describe('the reference page', () => {
  test('is what the table says now; otherwise run: node cmd/generate-docs.ts', () => {
    const file = join(import.meta.dirname, '../../../docs/reference/configuration.md');
    expect(readFileSync(file, 'utf8')).toBe(configurationReference());
  });

  test('has a line for every setting, and no cell that breaks a table', () => {
    const [settings = '', former = ''] = configurationReference().split(`## ${FORMER_KEYS_TITLE}\n`);
    const rows = rowsOf(settings);
    expect(rows).toHaveLength(SETTING_KEYS.length);
    for (const row of rows) expect(row.replaceAll('\\|', '').split('|')).toHaveLength(8);
    expect(rowsOf(former).map((row) => row.split('`')[1])).toEqual(FORMER_KEY_NAMES);
  });
});

describe('the nearest name', () => {
  const known = ['port', 'queue_size', 'docker.host'];
  test.each([
    ['prot', 'port'],
    ['queuesize', 'queue_size'],
    ['docker.hots', 'docker.host'],
    ['something_else', undefined],
    ['x', undefined],
    ['x'.repeat(100_000), undefined],
  ])('of %s', (name, expected) => {
    expect(nearest(name, known)).toBe(expected);
  });
});

function rowsOf(page: string): string[] {
  return page.split('\n').filter((line) => line.startsWith('| `'));
}

function flatten(section: Record<string, unknown>, prefix = ''): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(section)) {
    const isSection = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isSection) Object.assign(flat, flatten(value as Record<string, unknown>, `${prefix}${name}.`));
    else flat[`${prefix}${name}`] = value;
  }
  return flat;
}
