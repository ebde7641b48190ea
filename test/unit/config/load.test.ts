import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_FILE_BYTES } from '../../../src/config/bounded-file.ts';
import { loadConfig, type ConfigInput } from '../../../src/config/load.ts';
import { ConfigError, type Problem } from '../../../src/config/problem.ts';
import { SETTING_KEYS, settingOf, variableOf } from '../../../src/config/settings.ts';

const SECRET = 'canary-'.padEnd(43, 'x');
const SURROUNDINGS = { homeDir: '/home/me', isRoot: false } as const;

let directory: string;
let fileCount = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-test-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(content: string | Buffer, mode = 0o600): string {
  fileCount += 1;
  const path = join(directory, `${fileCount}.yaml`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const load = (input: ConfigInput = {}) => loadConfig({ ...SURROUNDINGS, ...input });
const loadYaml = (content: string | Buffer) => load({ configFile: file(content) });

function failureOf(action: () => unknown): { message: string; problems: readonly Problem[] } {
  try {
    action();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.code).toBe('invalid_config');
    return { message: error.message, problems: error.details['problems'] as readonly Problem[] };
  }
  throw new Error('it was accepted');
}

describe('the table', () => {
  test('each default is a value of its type', () => {
    for (const key of SETTING_KEYS) {
      const { type, default: value } = settingOf(key);
      if (value !== undefined && type.placeholder !== 'tokens')
        expect(type.read(type.show(value)), key).toEqual(value);
    }
  });

  test('no two settings share a variable', () => {
    expect(new Set(SETTING_KEYS.map(variableOf)).size).toBe(SETTING_KEYS.length);
  });

  test('nothing is read when the modules are loaded: the defaults need no file and no variable', () => {
    const { config, sources } = load();
    expect(config).toMatchObject({
      port: 8080,
      'docker.call_timeout': 60_000,
      'defaults.memory': 536_870_912,
    });
    expect(config['docker.host']).toBeUndefined();
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
  });

  test('what it yields cannot be changed', () => {
    const { config } = load({ env: { CONTAINER_MANAGER_POLICY_NETWORKS: 'a' } });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config['policy.networks'])).toBe(true);
  });
});

describe('the data directory', () => {
  test.each([
    [{ isRoot: true, env: { XDG_DATA_HOME: '/xdg' } }, '/var/lib/container-manager'],
    [{ env: { XDG_DATA_HOME: '/xdg' } }, '/xdg/container-manager'],
    [{ env: { XDG_DATA_HOME: 'relative' } }, '/home/me/.local/share/container-manager'],
    [{}, '/home/me/.local/share/container-manager'],
  ])('%j', (input, expected) => {
    expect(load(input).config['data_dir']).toBe(expected);
  });
});

describe('precedence', () => {
  const layers = {
    flags: { 'docker-network': 'from-flag' },
    env: { CONTAINER_MANAGER_DOCKER_NETWORK: 'from-environment' },
    yaml: 'docker: { network: from-file }',
  };

  test.each([
    ['flag', { flags: layers.flags, env: layers.env, yaml: layers.yaml }],
    ['environment', { env: layers.env, yaml: layers.yaml }],
    ['file', { yaml: layers.yaml }],
  ])('%s', (source, { yaml, ...input }) => {
    const { config, sources } = load({ ...input, configFile: file(yaml) });
    expect(config['docker.network']).toBe(`from-${source}`);
    expect(sources['docker.network']).toBe(source);
    expect(sources.port).toBe('default');
  });

  test('a flag that was not given does not count', () => {
    expect(load({ flags: { port: undefined }, env: { CONTAINER_MANAGER_PORT: '1' } }).config.port).toBe(1);
  });

  test('an alias is the flag, and both together must agree', () => {
    expect(load({ flags: { 'jrpc-port': '1' } }).config.port).toBe(1);
    expect(load({ flags: { port: '1', 'jrpc-port': '1' } }).config.port).toBe(1);
    expect(failureOf(() => load({ flags: { port: '1', 'jrpc-port': '2' } })).message).toBe(
      'invalid config: --port and --jrpc-port mean the same and say different things',
    );
  });

  test('the file is the one that was named, else the one of the variable', () => {
    const env = { CONTAINER_MANAGER_CONFIG: file('port: 1') };
    expect(load({ env }).config.port).toBe(1);
    expect(load({ env, configFile: file('port: 2') }).config.port).toBe(2);
  });

  test('an empty text unsets a setting without a default, whatever the file says', () => {
    const configFile = file('docker.host: unix:///a.sock');
    expect(load({ configFile }).config['docker.host']).toBe('unix:///a.sock');
    const { config, sources } = load({ configFile, env: { CONTAINER_MANAGER_DOCKER_HOST: '' } });
    expect(config['docker.host']).toBeUndefined();
    expect(sources['docker.host']).toBe('environment');
  });
});

describe('bad flags have the words they always had (line 15)', () => {
  test.each([
    ['queue-size', '0', 'queue size must be greater than 0'],
    ['queue-size', '-1', 'queue size must be greater than 0'],
    ['worker-count', '0', 'worker count must be greater than 0'],
    ['listen-address', '', 'listen address is required'],
    ['port', '', 'jrpc-port is required'],
    ['jrpc-port', '', 'jrpc-port is required'],
    ['log-level', '', 'log level is required'],
  ])('--%s=%s', (name, value, text) => {
    expect(failureOf(() => load({ flags: { [name]: value } })).message).toBe(`invalid config: ${text}`);
  });

  test('they come first, each further problem on its own line', () => {
    const { message } = failureOf(() =>
      load({ flags: { port: 'x', 'queue-size': '0', 'docker-pull': 'maybe' } }),
    );
    expect(message.split('\n')).toEqual([
      'invalid config: queue size must be greater than 0',
      'port "x" (--port): must be a port from 0 to 65535 (0: any free one)',
      'docker.pull "maybe" (--docker-pull): must be one of `missing`, `always`, `never`',
    ]);
  });
});

describe('everything that is wrong is told at once', () => {
  test('with key, source, value and what is allowed', () => {
    const { problems } = failureOf(() =>
      load({
        flags: { 'queue-size': 'many', 'no-such-flag-at-all': 'x' },
        env: { CONTAINER_MANAGER_DOKER_HOST: 'x', CONTAINER_MANAGER_LIMITS_BODY: '1' },
        configFile: file('retention: { age: 7 }\nlimits: { boddy: 1m }\nlog_level: loud'),
      }),
    );
    const told = problems.map(({ key, source, value, expected }) => [key, source, value, expected]);
    expect(told.toSorted()).toEqual(
      [
        ['queue_size', 'flag', '"many"', 'a whole number from 1 to 1000000'],
        ['no-such-flag-at-all', 'flag', '***', 'the name of a setting'],
        ['CONTAINER_MANAGER_DOKER_HOST', 'environment', '***', 'CONTAINER_MANAGER_DOCKER_HOST'],
        ['limits.body', 'environment', '"1"', 'a size such as 64k, 512m or 1g, from 1k to 64m'],
        ['retention.age', 'file', '7', 'a duration such as 250ms, 30s, 5m or 7d'],
        ['limits.boddy', 'file', '***', 'limits.body'],
        [
          'log_level',
          'file',
          '"loud"',
          'one of `trace`, `debug`, `info`, `warn`, `error`, `fatal`, `silent`',
        ],
      ].toSorted(),
    );
  });

  test('a name that is nearly right is suggested', () => {
    expect(failureOf(() => loadYaml('quue_size: 1')).message).toBe(
      'invalid config: unknown setting "quue_size" (file); did you mean queue_size?',
    );
  });

  test('variables that are no settings are left alone', () => {
    const names = ['ADDRESS', 'TOKEN', 'OUTPUT', 'FAIL_AT'].map((name) => `CONTAINER_MANAGER_${name}`);
    expect(() =>
      load({ env: { ...Object.fromEntries(names.map((name) => [name, 'x'])), PATH: '/bin' } }),
    ).not.toThrow();
  });

  test('a value is told in one bounded line', () => {
    const { message } = failureOf(() => load({ flags: { port: `\u001b[31m\n\u202e${'x'.repeat(5000)}` } }));
    expect(message).not.toMatch(/[\u001b\n\u202e]/);
    expect(message.length).toBeLessThan(300);
  });
});

describe('secrets', () => {
  const inputs: Readonly<Record<string, () => ConfigInput>> = {
    'a bad scope in the environment': () => ({
      env: { CONTAINER_MANAGER_AUTH_TOKENS: `ci:admin:${SECRET}` },
    }),
    'a bad scope in the file': () => ({
      configFile: file(`auth: { tokens: [{ name: a, scope: b, token: ${SECRET} }] }`),
    }),
    'a misspelt variable': () => ({ env: { CONTAINER_MANAGER_AUTH_TOKEN: SECRET } }),
    'a misspelt key': () => ({ configFile: file(`auth: { tokns: [${SECRET}] }`) }),
    'broken YAML': () => ({ configFile: file(`auth: { tokens: [ "${SECRET} }`) }),
    'an alias of nothing': () => ({ configFile: file(`auth: { tokens: *${SECRET} }`) }),
    'a bad line of a token file': () => ({
      env: { CONTAINER_MANAGER_AUTH_TOKEN_FILE: file(`ci admin ${SECRET}`) },
    }),
  };

  test.each(Object.entries(inputs))('%s does not show them', (_name, input) => {
    const { message, problems } = failureOf(() => load(input()));
    expect(message + JSON.stringify(problems)).not.toContain(SECRET);
  });

  test('tokens cannot be given by a flag, where other users would see them', () => {
    expect(failureOf(() => load({ flags: { 'auth-tokens': `ci:full:${SECRET}` } })).problems[0]?.key).toBe(
      'auth-tokens',
    );
  });
});

describe('the token file', () => {
  const env = (path: string, tokens?: string): ConfigInput => ({
    env: { CONTAINER_MANAGER_AUTH_TOKEN_FILE: path, CONTAINER_MANAGER_AUTH_TOKENS: tokens },
  });

  test('adds to the tokens', () => {
    const path = file(`# who may\n\nci full ${SECRET}\n  ops\tread  b${SECRET}\r\n`);
    expect(load(env(path, `me:read:c${SECRET}`)).config['auth.tokens']).toEqual([
      { name: 'me', scope: 'read', token: `c${SECRET}` },
      { name: 'ci', scope: 'full', token: SECRET },
      { name: 'ops', scope: 'read', token: `b${SECRET}` },
    ]);
  });

  test.each([
    ['others may read it', () => file(`ci full ${SECRET}`, 0o604), /chmod 600/],
    ['the group may read it', () => file(`ci full ${SECRET}`, 0o640), /chmod 600/],
    ['it is missing', () => join(directory, 'missing'), /ENOENT/],
    ['it is a directory', () => directory, /not a file/],
    ['a line is wrong', () => file(`ci full ${SECRET}\nci full short`), /line 2/],
    ['a name occurs twice', () => file(`ci full ${SECRET}\nci read b${SECRET}`), /occurs twice/],
    ['it is too long', () => file(Buffer.alloc(MAX_FILE_BYTES + 1, '\n')), /longer than/],
  ])('is refused when %s', (_why, make, text) => {
    expect(failureOf(() => load(env(make()))).message).toMatch(text);
  });
});

describe('the file', () => {
  test('keys may be nested, dotted or mixed', () => {
    const { config } = loadYaml(
      'docker: { pull: never }\ndocker.network: a\nauth:\n  trusted_networks: [10.0.0.0/8]\n',
    );
    expect(config).toMatchObject({
      'docker.pull': 'never',
      'docker.network': 'a',
      'auth.trusted_networks': ['10.0.0.0/8'],
    });
  });

  test.each([
    ['empty', ''],
    ['only a comment', '# nothing'],
    ['an empty section', 'docker:\n'],
  ])('%s', (_name, yaml) => {
    expect(() => loadYaml(yaml)).not.toThrow();
  });

  test.each([
    ['a key twice', 'port: 1\nport: 2', /DUPLICATE_KEY/],
    [
      'a key nested and dotted',
      'docker: { pull: never }\ndocker.pull: always',
      /docker.pull stands in the file twice/,
    ],
    ['a list', '- port', /does not hold keys/],
    ['a word', 'port', /does not hold keys/],
    ['two documents', 'port: 1\n---\nport: 2', /line 2, column 1 \(MULTIPLE_DOCS\)/],
    ['invalid UTF-8', Buffer.from([0x70, 0xff, 0xfe]), /cannot use/],
    ['too long', Buffer.alloc(MAX_FILE_BYTES + 1, '#'), /longer than 262144 bytes/],
    ['a bomb of aliases', bomb(), /cannot use|unknown setting/],
    ['deep nesting', `port: ${'['.repeat(20_000)}`, /cannot use/],
    ['itself', 'port: &a [*a]', /port \[\[\.\.\.\]\]/],
    [
      'null for what has a default',
      'queue_size: null',
      /queue_size null \(queue_size\): must be a whole number/,
    ],
    ['a section where a value belongs', 'port: { a: 1 }', /port \{\.\.\.\}/],
    ['a value where a section belongs', 'docker: never', /unknown setting "docker"/],
  ])('is refused when it holds %s', (_name, yaml, text) => {
    expect(failureOf(() => loadYaml(yaml)).message).toMatch(text);
  });

  test('that is missing is a problem', () => {
    const configFile = join(directory, 'missing.yaml');
    expect(failureOf(() => load({ configFile })).message).toContain(`cannot use ${configFile}: ENOENT`);
  });

  test.each([
    '__proto__: { port: 1 }',
    'docker: { __proto__: { pull: never } }',
    'constructor: { prototype: { port: 1 } }',
  ])('cannot reach a prototype: %s', (yaml) => {
    expect(failureOf(() => loadYaml(yaml)).message).toMatch(/unknown setting/);
    expect(({} as Record<string, unknown>)['port']).toBeUndefined();
    expect(({} as Record<string, unknown>)['pull']).toBeUndefined();
  });

  test('a flag called __proto__ is an unknown flag', () => {
    const flags = JSON.parse('{ "__proto__": "x", "constructor": "y" }') as Record<string, string>;
    expect(failureOf(() => load({ flags })).problems.map(({ key }) => key)).toEqual([
      '__proto__',
      'constructor',
    ]);
  });
});

describe('whatever a file or the environment holds', () => {
  const isAcceptedOrRefused = (input: ConfigInput): void => {
    try {
      load(input);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
    }
  };

  test('any bytes are accepted or refused, never an accident', () => {
    const content = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.json({ maxDepth: 4 }),
      fc
        .dictionary(fc.constantFrom<string>(...SETTING_KEYS, 'docker', '__proto__'), fc.jsonValue())
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(content, (text) => isAcceptedOrRefused({ configFile: file(text) })),
      { numRuns: 300 },
    );
  });

  test('any value of any variable', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('0', '-1', '1e9', '{}', '[]', 'null', '1s', '1k'),
    );
    const env = fc.dictionary(fc.constantFrom(...SETTING_KEYS.map(variableOf)), value);
    fc.assert(
      fc.property(env, (variables) => isAcceptedOrRefused({ env: variables })),
      { numRuns: 500 },
    );
  });
});

describe('relations', () => {
  test.each([
    [{ tls_cert_file: '/a' }, 'tls.cert_file and tls.key_file are set together or not at all'],
    [{ tls_key_file: '/a' }, 'tls.cert_file and tls.key_file are set together or not at all'],
    [
      { auth_mode: 'none', auth_tokens: `ci:full:${SECRET}` },
      'auth.mode none would ignore the tokens that are set: leave out one of them',
    ],
    [{ limits_headers_timeout: '11s' }, 'limits.headers_timeout 11s is more than limits.request_timeout 10s'],
    [{ limits_connections: '63' }, 'limits.connections_per_address 64 is more than limits.connections 63'],
    [{ docker_pull_timeout: '1m' }, 'docker.pull_inactivity 2m is more than docker.pull_timeout 1m'],
    [{ settle_time: '61s' }, 'settle_time 1m1s is more than defaults.start_timeout 1m'],
    [{ policy_max_memory: '511m' }, 'defaults.memory 512m is more than policy.max_memory 511m'],
    [{ policy_max_cpu: '0.5' }, 'defaults.cpu 1 is more than policy.max_cpu 0.5'],
    [{ policy_max_pids: '255' }, 'defaults.pids 256 is more than policy.max_pids 255'],
  ])('%j', (settings, text) => {
    const env = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [`CONTAINER_MANAGER_${name.toUpperCase()}`, value]),
    );
    expect(failureOf(() => load({ env })).message).toBe(`invalid config: ${text}`);
  });

  test('equal values are right', () => {
    const env = {
      CONTAINER_MANAGER_POLICY_MAX_MEMORY: '512m',
      CONTAINER_MANAGER_LIMITS_HEADERS_TIMEOUT: '10s',
    };
    expect(() => load({ env })).not.toThrow();
  });
});

/** Ten levels of ten aliases each: ten thousand million entries when written out. */
function bomb(): string {
  const levels = Array.from({ length: 10 }, (_, level) =>
    level === 0
      ? 'a0: &a0 [x]'
      : `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
  );
  return levels.join('\n');
}
