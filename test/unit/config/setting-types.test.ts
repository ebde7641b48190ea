import { describe, expect, test } from 'vitest';
import {
  addressList,
  hostList,
  list,
  MAX_LIST_ENTRIES,
  nameList,
  networkList,
  originList,
  registryList,
} from '../../../src/config/list-types.ts';
import { decimal, duration, integer, port, size } from '../../../src/config/number-types.ts';
import type { SettingType } from '../../../src/config/setting-type.ts';
import { boolean, choice, host, path, text } from '../../../src/config/text-types.ts';
import { tokenList } from '../../../src/config/token-type.ts';

const TOKEN_43 = 'a'.repeat(43);
const token = (over: Record<string, unknown> = {}): Map<string, unknown> =>
  new Map(Object.entries({ name: 'ci', scope: 'full', token: TOKEN_43, ...over }));

interface Case {
  readonly type: SettingType<unknown>;
  readonly takes: readonly (readonly [input: unknown, value: unknown])[];
  readonly refuses: readonly unknown[];
}

const ANYTHING_BUT: readonly unknown[] = [
  undefined,
  null,
  '',
  {},
  new Map(),
  Symbol('x'),
  () => 1,
  Number.NaN,
  1n,
];

const CASES: Readonly<Record<string, Case>> = {
  integer: {
    type: integer({ min: 1, max: 10 }),
    takes: [
      ['1', 1],
      ['10', 10],
      [1, 1],
      [10, 10],
      ['007', 7],
    ],
    refuses: [
      0,
      '0',
      11,
      '11',
      -1,
      1.5,
      '1.5',
      '1e1',
      ' 1',
      '1 ',
      '0x1',
      '+1',
      true,
      Infinity,
      '9'.repeat(400),
      [1],
    ],
  },
  'integer without an end': {
    type: integer(),
    takes: [[Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
    refuses: [Number.MAX_SAFE_INTEGER + 1, '9999999999999999', -1],
  },
  decimal: {
    type: decimal({ min: 0.01, max: 2 }),
    takes: [
      ['0.01', 0.01],
      ['2', 2],
      [1.5, 1.5],
    ],
    refuses: [0, '0.009', 2.001, '2,0', '1e0', '.5', '5.', Infinity, true],
  },
  boolean: {
    type: boolean(),
    takes: [
      ['true', true],
      [false, false],
    ],
    refuses: ['yes', 'TRUE', '1', 1, 0],
  },
  duration: {
    type: duration({ min: 10, max: 60_000 }),
    takes: [
      ['10ms', 10],
      ['1m', 60_000],
      ['1.5s', 1500],
    ],
    refuses: [0, '0', '9ms', '60001ms', '10', 10, '-1s', '1 s', '1w', 's', '1s1', '9'.repeat(50) + 's'],
  },
  'duration of zero': {
    type: duration(),
    takes: [
      [0, 0],
      ['0', 0],
      ['3650d', 3650 * 86_400_000],
    ],
    refuses: [1, '1', '3651d', -0.5],
  },
  size: {
    type: size({ min: 1024, max: 1024 ** 3 }),
    takes: [
      ['1k', 1024],
      ['1024', 1024],
      [1024, 1024],
      ['1GiB', 1024 ** 3],
      ['512M', 512 * 1024 ** 2],
    ],
    refuses: ['1023', 1023, '1025m', 1.5, '-1k', 'k', '1p', '1kk', Infinity],
  },
  port: {
    type: port(),
    takes: [
      ['0', 0],
      ['65535', 65_535],
      [8080, 8080],
    ],
    refuses: [-1, '65536', '80a', 80.5],
  },
  choice: {
    type: choice(['missing', 'always']),
    takes: [['missing', 'missing']],
    refuses: ['Missing', 'missin', 'constructor', 0, ['missing']],
  },
  text: {
    type: text('letters', /^[a-z]{1,3}$/),
    takes: [['abc', 'abc']],
    refuses: ['abcd', 'a\n', 'a\u001b', 5],
  },
  path: {
    type: path(),
    takes: [
      ['/a', '/a'],
      ['./a b', './a b'],
      [`/${'a'.repeat(4095)}`, `/${'a'.repeat(4095)}`],
    ],
    refuses: ['~/a', '/a\0', `/${'a'.repeat(4096)}`, 5],
  },
  host: {
    type: host(),
    takes: [
      ['0.0.0.0', '0.0.0.0'],
      ['::', '::'],
      ['a.example', 'a.example'],
      ['localhost', 'localhost'],
    ],
    refuses: ['1.2.3', '256.1.1.1', 'a..b', '-a', 'a b', 'http://a', 'a:80', '[::1]', 'a'.repeat(254), '.'],
  },
  list: {
    type: list('words', (entry) => /^\w+$/.test(entry)),
    takes: [
      ['', []],
      [' a , b ', ['a', 'b']],
      [['a'], ['a']],
      [[], []],
      [
        Array.from({ length: MAX_LIST_ENTRIES }, () => 'a'),
        Array.from({ length: MAX_LIST_ENTRIES }, () => 'a'),
      ],
    ],
    refuses: ['a,,b', ',', [1], [['a']], 5, Array.from({ length: MAX_LIST_ENTRIES + 1 }, () => 'a')],
  },
  networks: {
    type: networkList(),
    takes: [
      ['10.0.0.0/8,fd00::/8', ['10.0.0.0/8', 'fd00::/8']],
      ['1.2.3.4', ['1.2.3.4']],
      ['0.0.0.0/0', ['0.0.0.0/0']],
      ['::1/128', ['::1/128']],
    ],
    refuses: [
      '10.0.0.0/33',
      '::/129',
      '10.0.0/8',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '10.0.0.0/-1',
      'fe80::1%eth0',
      'a/8',
    ],
  },
  addresses: {
    type: addressList(),
    takes: [['127.0.0.1,::1', ['127.0.0.1', '::1']]],
    refuses: ['localhost', '127.0.0.1/8', 'fe80::1%lo'],
  },
  hosts: { type: hostList(), takes: [['a.example', ['a.example']]], refuses: ['a.example:80', '*'] },
  names: {
    type: nameList(),
    takes: [['a_b.c-1', ['a_b.c-1']]],
    refuses: ['-a', 'a b', 'a'.repeat(129), 'container:x'],
  },
  registries: {
    type: registryList(),
    takes: [['registry.example:5000,127.0.0.1', ['registry.example:5000', '127.0.0.1']]],
    refuses: ['registry.example/path', 'https://registry.example', 'a:0', 'a:65536', ':5000'],
  },
  origins: {
    type: originList(),
    takes: [['https://a.example,http://b.example:8080', ['https://a.example', 'http://b.example:8080']]],
    refuses: [
      'a.example',
      'https://a.example/',
      'https://a.example/x',
      'https://u@a.example',
      'null',
      '*',
      'https://a:443',
    ],
  },
  tokens: {
    type: tokenList(),
    takes: [
      ['', []],
      [`ci:full:${TOKEN_43}`, [{ name: 'ci', scope: 'full', token: TOKEN_43 }]],
      [[token()], [{ name: 'ci', scope: 'full', token: TOKEN_43 }]],
      [
        `ci:full:${TOKEN_43},ops:read:b${TOKEN_43}`,
        [
          { name: 'ci', scope: 'full', token: TOKEN_43 },
          { name: 'ops', scope: 'read', token: `b${TOKEN_43}` },
        ],
      ],
    ],
    refuses: [
      `ci:full:${'a'.repeat(42)}`,
      `ci:full:${'a'.repeat(513)}`,
      `ci:admin:${TOKEN_43}`,
      `:full:${TOKEN_43}`,
      `ci:full:${TOKEN_43}:x`,
      `ci:full:${TOKEN_43},ci:read:b${TOKEN_43}`,
      `ci:full:${TOKEN_43},ops:read:${TOKEN_43}`,
      [token({ extra: 1 })],
      [token({ token: 5 })],
      [token({ name: '__proto__' })],
      [['ci', 'full', TOKEN_43]],
      [{ name: 'ci', scope: 'full', token: TOKEN_43 }],
    ],
  },
};

describe.each(Object.entries(CASES))('%s', (_name, { type, takes, refuses }) => {
  test.each(takes)('takes %j', (input, value) => {
    expect(type.read(input)).toEqual(value);
  });

  test.each(refuses.map((input) => [input]))('refuses %j', (input) => {
    expect(type.read(input)).toBeUndefined();
  });

  test('refuses what no value is made of', () => {
    const taken = ANYTHING_BUT.filter((input) => input !== '' && type.read(input) !== undefined);
    expect(taken).toEqual([]);
  });

  test('reads back what it shows', () => {
    const isTokens = type.placeholder === 'tokens';
    for (const [, value] of isTokens ? [] : takes) expect(type.read(type.show(value))).toEqual(value);
  });
});
