import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FORMER_KEY_NAMES, FORMER_KEYS } from '../../../src/config/former-keys.ts';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/problem.ts';
import { isSettingKey, type SettingKey } from '../../../src/config/settings.ts';

const SECRET = 'discon2025';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'former-keys-test-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function load(yaml: string, env: Record<string, string> = {}): LoadedConfig {
  const configFile = join(directory, 'config.yaml');
  writeFileSync(configFile, yaml, { mode: 0o600 });
  return loadConfig({ homeDir: '/home/me', isRoot: false, env, configFile });
}

function failureOf(yaml: string): string {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

/** The file that came with discon-manager, without its password. */
const STOCK = `
server:
  port: 8081
  host: "127.0.0.1"
  debug_level: 1
docker:
  network_name: "discon-network"
  container_prefix: "discon-controller-"
  memory_limit: "512m"
  cpu_limit: 1.0
  cleanup_timeout: 30
database:
  path: "/app/db/controllers.json"
controller_discovery:
  mode: "periodic"
  interval_minutes: 45
  auto_register: true
  remove_missing: true
  validation:
    enabled: false
    verify_symbols: false
    test_call: false
metrics:
  enabled: true
  path: "/app/metrics"
  collection_interval: 60
health:
  interval: 30
  timeout: 5
auth:
  enabled: true
  username: admin
`;

describe('the file of discon-manager', () => {
  test('is taken as it is, each key for what it means', () => {
    const { config, sources } = load(STOCK);
    expect(config).toMatchObject({
      port: 8081,
      listen_address: '127.0.0.1',
      log_level: 'info',
      'docker.network': 'discon-network',
      'frontdoor.memory': 536_870_912,
      'frontdoor.cpu': 1,
      'frontdoor.idle_timeout': 30_000,
      'catalog.file': '/app/db/controllers.json',
      'catalog.discovery': 'periodic',
      'catalog.discovery_interval': 45 * 60_000,
      'catalog.remove_missing': true,
      'catalog.validate': false,
      'catalog.verify_symbols': false,
      'auth.mode': 'tokens',
    });
    expect(sources['frontdoor.idle_timeout']).toBe('file');
  });

  test('names everything that is a key of it, and means what the table says', () => {
    const named = [...STOCK.matchAll(/^ *(\w+): \S/gm)].map(([, name]) => name);
    const known = FORMER_KEY_NAMES.filter((key) => key !== 'auth.password');
    expect(named.toSorted()).toEqual(known.map((key) => key.split('.').at(-1)).toSorted());
  });

  test('leaves a note on each key that means nothing any more', () => {
    const { notes } = load(STOCK);
    const silent = Object.entries(FORMER_KEYS).filter(([, former]) => 'note' in former);
    expect(notes.map((note) => note.split(' ', 1)[0]).toSorted()).toEqual(
      silent.map(([name]) => name).toSorted(),
    );
    expect(load('port: 1').notes).toEqual([]);
  });

  test('no key of before is one of now', () => {
    for (const name of FORMER_KEY_NAMES) expect(isSettingKey(name), name).toBe(false);
  });

  test('a password is refused with what to do instead, and not shown', () => {
    const message = failureOf(`auth: { password: ${SECRET} }`);
    expect(message).toMatch(/auth\.password is not supported: .*auth\.tokens/);
    expect(message).not.toContain(SECRET);
  });

  test('a key that is nearly one of before is suggested', () => {
    expect(failureOf('docker: { memory_limits: 1g }')).toMatch(/did you mean docker\.memory_limit\?/);
  });

  test('flags and variables beat it, and do not know its names', () => {
    expect(load(STOCK, { CONTAINER_MANAGER_PORT: '9' }).config.port).toBe(9);
    expect(() => load('', { CONTAINER_MANAGER_SERVER_PORT: '9' })).toThrow(/unknown setting/);
  });
});

describe('line 15 of the facts: limits', () => {
  const read = (yaml: string, key: SettingKey): unknown => load(yaml).config[key];

  test.each([
    ['"512m"', 536_870_912],
    ['"1g"', 1_073_741_824],
    ['"0.5g"', 536_870_912],
    ['"65536k"', 67_108_864],
  ])('memory_limit %s', (text, bytes) => {
    expect(read(`docker: { memory_limit: ${text} }`, 'frontdoor.memory')).toBe(bytes);
  });

  test.each(['"abc"', '"512x"', '-1', '0', '"5m"'])('memory_limit %s is refused by its name', (text) => {
    expect(failureOf(`docker: { memory_limit: ${text} }`)).toMatch(
      /\(docker\.memory_limit\): must be a size/,
    );
  });

  test('cpu_limit 1.5 is one and a half', () => {
    expect(read('docker: { cpu_limit: 1.5 }', 'frontdoor.cpu')).toBe(1.5);
  });

  test.each(['0', '-1', '1.5', '"30s"', 'soon'])('cleanup_timeout %s is refused by its name', (text) => {
    expect(failureOf(`docker: { cleanup_timeout: ${text} }`)).toMatch(
      /\(docker\.cleanup_timeout\): must be a whole number of seconds from 1 to/,
    );
  });

  test.each([
    ['server: { debug_level: 3 }', '(server.debug_level): must be 0 (warn), 1 (info) or 2 (debug)'],
    ['controller_discovery: { interval_minutes: 0 }', 'must be a whole number of minutes from 1 to'],
    ['controller_discovery: { mode: sometimes }', '(controller_discovery.mode): must be one of'],
    ['controller_discovery: { validation: { enabled: perhaps } }', 'must be `true` or `false`'],
    ['server: { port: 70000 }', '(server.port): must be a port'],
  ])('%s is refused', (yaml, text) => {
    expect(failureOf(yaml)).toContain(text);
  });

  test.each([
    [0, 'warn'],
    [1, 'info'],
    [2, 'debug'],
  ])('debug_level %i is %s', (level, name) => {
    expect(read(`server: { debug_level: ${level} }`, 'log_level')).toBe(name);
  });
});

describe('a setting under both of its names', () => {
  test.each([
    'docker: { cleanup_timeout: 30 }\nfrontdoor: { idle_timeout: 30s }',
    'frontdoor: { memory: 1g }\ndocker: { memory_limit: 1024m }',
    'server: { port: 81 }\nport: 81',
  ])('may say the same: %j', (yaml) => {
    expect(() => load(yaml)).not.toThrow();
  });

  test.each([
    'docker: { cleanup_timeout: 30 }\nfrontdoor: { idle_timeout: 31s }',
    'docker: { cleanup_timeout: 30 }\nfrontdoor: { idle_timeout: 30 }',
    'server: { port: 81 }\nport: 82',
  ])('must not say different things: %j', (yaml) => {
    expect(failureOf(yaml)).toMatch(/mean the same and say different things/);
  });
});
