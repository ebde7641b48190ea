import { describe, expect, test } from 'vitest';
import { Access } from '../../../src/api/access.ts';
import { addressKey, Networks, plainAddress } from '../../../src/api/address.ts';
import { readHead } from '../../../src/api/head.ts';
import { HostAllowList } from '../../../src/api/host-allow-list.ts';
import { bearerToken, TokenBook } from '../../../src/api/tokens.ts';
import { WrongTries } from '../../../src/api/wrong-tries.ts';
import type { Clock } from '../../../src/kernel/clock.ts';

class SteppedClock implements Clock {
  nowMs = 0;
  wallMs = (): number => this.nowMs;
  monotonicMs = (): number => this.nowMs;
  after = (): Disposable => ({ [Symbol.dispose]: () => undefined });
}

describe('addresses', () => {
  test.each([
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::FFFF:10.0.0.1', '10.0.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['127.0.0.1', '127.0.0.1'],
  ])('%s is %s', (address, plain) => expect(plainAddress(address)).toBe(plain));

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('%s counts as %s', (address, key) => expect(addressKey(address)).toBe(key));

  test('networks hold what they say', () => {
    const networks = new Networks(['10.0.0.0/8', '192.168.1.7', 'fd00::/8']);
    for (const inside of ['10.255.0.1', '::ffff:10.0.0.1', '192.168.1.7', 'fd12::1']) {
      expect(networks.has(inside)).toBe(true);
    }
    for (const outside of ['11.0.0.1', '192.168.1.8', 'fe80::1', 'nonsense', '']) {
      expect(networks.has(outside)).toBe(false);
    }
  });

  test.each(['10.0.0.0/33', '10.0.0/8', 'fd00::/129', 'example', '10.0.0.0/8/8', '10.0.0.0/', ''])(
    '%j is no network',
    (text) => expect(() => new Networks([text])).toThrow(RangeError),
  );
});

describe('HostAllowList', () => {
  test('forgets none of its rules when many spellings have been seen', () => {
    const hosts = new HostAllowList([]);
    for (let index = 0; index < 1000; index += 1) {
      expect(hosts.allows(`10.0.${index % 256}.1:${index + 1}`)).toBe(true);
      expect(hosts.allows(`evil-${index}.example`)).toBe(false);
    }
  });

  test('reads no Host of any length', () => {
    const hosts = new HostAllowList([]);
    expect(hosts.allows('1'.repeat(1_000_000))).toBe(false);
    expect(hosts.allows(undefined)).toBe(false);
  });

  test('names are compared whole, whatever their case', () => {
    const hosts = new HostAllowList(['Node.Example']);
    expect(hosts.allows('node.example:1')).toBe(true);
    expect(hosts.allows('xnode.example')).toBe(false);
    expect(hosts.allows('node.example.')).toBe(false);
  });
});

describe('tokens', () => {
  test('each opens for its owner', () => {
    const book = new TokenBook([
      { name: 'a', token: 'first', scope: 'full' },
      { name: 'b', token: 'second', scope: 'read' },
    ]);
    expect(book.find('first')).toEqual({ name: 'a', scope: 'full' });
    expect(book.find('second')).toEqual({ name: 'b', scope: 'read' });
    for (const wrong of ['', 'firs', 'first ', 'FIRST', 'third']) expect(book.find(wrong)).toBeUndefined();
  });

  test.each([
    ['Bearer abc', 'abc'],
    ['bearer   abc', 'abc'],
    ['Bearer', undefined],
    ['Bearer ', undefined],
    ['Bearer a b', undefined],
    ['Basic abc', undefined],
    [`Bearer ${'a'.repeat(2000)}`, undefined],
  ])('%j holds %j', (text, token) => expect(bearerToken(text)).toBe(token));
});

describe('WrongTries', () => {
  test('closes after ten, for the rest of the minute', () => {
    const clock = new SteppedClock();
    const tries = new WrongTries(clock);
    for (let count = 0; count < 10; count += 1) {
      expect(tries.waitMs('a')).toBe(0);
      tries.add('a');
      clock.nowMs += 1_000;
    }
    expect(tries.waitMs('a')).toBe(50_000);
    expect(tries.waitMs('b')).toBe(0);
    clock.nowMs += 49_999;
    expect(tries.waitMs('a')).toBe(1);
    clock.nowMs += 1;
    expect(tries.waitMs('a')).toBe(0);
  });

  test('remembers a bounded number of addresses', () => {
    const tries = new WrongTries(new SteppedClock());
    for (let count = 0; count < 10; count += 1) tries.add('first');
    for (let index = 0; index < 9_999; index += 1) tries.add(`other-${index}`);
    expect(tries.waitMs('first')).toBeGreaterThan(0);
    tries.add('one more');
    expect(tries.waitMs('first')).toBe(0);
  });
});

describe('readHead', () => {
  test('sees repetition, and no field becomes a key', () => {
    const head = readHead([
      'Host',
      'a',
      '__proto__',
      'x',
      'ACCEPT',
      '1',
      'accept',
      '2',
      'hOsT',
      'b',
      'Via',
      '1.1 p',
    ]);
    expect(head).toMatchObject({ host: 'a', duplicate: 'host', accept: '1', isForwarded: true });
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test('counts the bytes of the lines', () => {
    expect(readHead(['A', '1', 'Bc', '23']).headerBytes).toBe('A: 1\r\nBc: 23\r\n'.length);
  });
});

describe('Access', () => {
  const options = {
    mode: 'token',
    tokens: [],
    trustedNetworks: [],
    allowedHosts: [],
    allowedOrigins: [],
  } as const;

  test('a proxy on this host does not make its clients local', () => {
    const access = new Access(options, { clock: new SteppedClock() });
    const peer = access.peerOf('127.0.0.1');
    expect(access.authenticate(peer, readHead([]))).toEqual({ name: 'local', scope: 'full' });
    const fields = [
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'x-forwarded-proto',
      'X-Forwarded-Server',
      'Forwarded',
    ];
    for (const field of [...fields, 'Via', 'X-Real-IP', 'CF-Connecting-IP', 'True-Client-IP']) {
      expect(access.authenticate(peer, readHead([field, 'x'])), field).toMatchObject({ status: 401 });
    }
  });

  test('a network that is none is refused at once', () => {
    expect(() => new Access({ ...options, trustedNetworks: ['lan'] }, { clock: new SteppedClock() })).toThrow(
      '"lan"',
    );
  });
});
