import { networkInterfaces } from 'node:os';
import { describe, expect, test, vi } from 'vitest';
import type { AccessOptions } from '../../../src/api/access.ts';
import { TokenBook } from '../../../src/api/tokens.ts';
import { http, post, raw, startApi } from './api-harness.ts';
import type { HttpCall, HttpReply } from './api-harness.ts';

const STATS = { jsonrpc: '2.0', id: 1, method: 'QueueService.Stats' };
const CREATE = { jsonrpc: '2.0', id: 1, method: 'ContainerService.Create', params: [{ image: 'nginx' }] };

/** An address of this machine under which a client does not come over loopback. */
function outsideAddress(): string {
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal);
  if (found === undefined) throw new Error('these tests need a network interface besides loopback');
  return found.address;
}

const OUTSIDE = outsideAddress();
const FULL = 'full-token-0123456789abcdef0123456789abcdef';
const READ = 'read-token-0123456789abcdef0123456789abcdef';
const TOKENS: AccessOptions['tokens'] = [
  { name: 'alice', token: FULL, scope: 'full' },
  { name: 'bob', token: READ, scope: 'read' },
];

/** Posts as a client elsewhere would: by an address of the machine that is not loopback. */
function from(
  address: string,
  port: number,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<HttpReply> {
  const call: HttpCall = {
    method: 'POST',
    host: address,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  };
  return http(port, '/jrpc', call);
}

describe('A1: who is served', () => {
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const CASES: readonly [
    name: string,
    access: Partial<AccessOptions>,
    address: string,
    headers: Record<string, string>,
    status: number,
  ][] = [
    ['no token set, loopback', {}, '127.0.0.1', {}, 200],
    ['no token set, another loopback address', {}, '127.9.8.7', {}, 200],
    ['no token set, elsewhere', {}, OUTSIDE, {}, 401],
    ['no token set, elsewhere, with some token', {}, OUTSIDE, bearer('x'), 401],
    ['no token set, loopback, with a token left over', {}, '127.0.0.1', bearer('x'), 200],
    ['no token set, trusted network', { trustedNetworks: [`${OUTSIDE}/32`] }, OUTSIDE, {}, 200],
    ['no token set, another network trusted', { trustedNetworks: ['203.0.113.0/24'] }, OUTSIDE, {}, 401],
    ['no token set, a proxy on loopback', {}, '127.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, 401],
    ['tokens, loopback without one', { tokens: TOKENS }, '127.0.0.1', {}, 200],
    ['tokens, loopback with a wrong one', { tokens: TOKENS }, '127.0.0.1', bearer('x'), 401],
    ['tokens, elsewhere without one', { tokens: TOKENS }, OUTSIDE, {}, 401],
    ['tokens, elsewhere with a right one', { tokens: TOKENS }, OUTSIDE, bearer(FULL), 200],
    [
      'tokens, elsewhere with a right one, lower case scheme',
      { tokens: TOKENS },
      OUTSIDE,
      { authorization: `bearer ${FULL}` },
      200,
    ],
    ['tokens, elsewhere with a wrong one', { tokens: TOKENS }, OUTSIDE, bearer(`${FULL}0`), 401],
    [
      'tokens, elsewhere with another scheme',
      { tokens: TOKENS },
      OUTSIDE,
      { authorization: `Basic ${FULL}` },
      401,
    ],
    ['tokens, elsewhere, an empty one', { tokens: TOKENS }, OUTSIDE, { authorization: 'Bearer ' }, 401],
    ['none, elsewhere', { mode: 'none' }, OUTSIDE, {}, 200],
    ['none, a proxy', { mode: 'none' }, OUTSIDE, { 'x-forwarded-for': '203.0.113.9' }, 200],
  ];

  test.each(CASES)('%s', async (_name, access, address, headers, status) => {
    const { port, jobs } = await startApi({ access, listenAddress: '0.0.0.0' });
    const reply = await from(address, port, CREATE, headers);
    expect(reply.status).toBe(status);
    expect(jobs.size).toBe(status === 200 ? 1 : 0);
    if (status === 401) {
      expect(reply.headers['www-authenticate']).toBe('Bearer');
      expect(JSON.parse(reply.text)).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32003 } });
      expect(reply.text).toContain('auth.tokens');
    }
  });

  test('every route is closed to strangers', async () => {
    const { port } = await startApi({ listenAddress: '0.0.0.0' });
    const paths = [
      '/health',
      '/ready',
      '/metrics',
      '/jobs',
      '/containers',
      '/controllers',
      '/ws',
      '/v1/events',
      '/v1/jobs/x/logs',
      '/nowhere',
    ];
    for (const path of paths) {
      const reply = await http(port, path, { host: OUTSIDE });
      expect(reply.status).toBe(401);
      expect(reply.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    }
  });

  test('the IPv6 loopback address is loopback, also where both families are listened on', async () => {
    const { port } = await startApi({ listenAddress: '::' });
    expect((await http(port, '/health', { host: '::1' })).status).toBe(200);
    expect((await http(port, '/health', { host: '127.0.0.1' })).status).toBe(200);
    expect((await http(port, '/health', { host: OUTSIDE })).status).toBe(401);
  });

  test('a read token reads, and changes nothing', async () => {
    const { port, jobs } = await startApi({ access: { tokens: TOKENS }, listenAddress: '0.0.0.0' });
    const headers = { authorization: `Bearer ${READ}` };
    expect((await from(OUTSIDE, port, STATS, headers)).status).toBe(200);
    const refused = await from(OUTSIDE, port, CREATE, headers);
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.text)).toMatchObject({
      id: 1,
      error: { code: -32004, data: { reason: 'forbidden' } },
    });
    for (const method of [
      'ContainerService.Stop',
      'ContainerService.Remove',
      'JobService.Cancel',
      'QueueService.Pause',
    ]) {
      expect((await from(OUTSIDE, port, { ...CREATE, method }, headers)).status).toBe(403);
    }
    expect((await from(OUTSIDE, port, { ...CREATE, jsonrpc: undefined }, headers)).status).toBe(400);
    const batch = await from(OUTSIDE, port, [STATS, CREATE], headers);
    expect(JSON.parse(batch.text)).toMatchObject([{ result: {} }, { error: { code: -32004 } }]);
    expect(jobs.size).toBe(0);
    expect(jobs.isPaused).toBe(false);
  });

  test("a job's caller is the token's name", async () => {
    const { port, jobs } = await startApi({ access: { tokens: TOKENS } });
    await post(port, CREATE, { authorization: `Bearer ${FULL}` });
    await post(port, CREATE);
    expect(jobs.callers).toEqual(['alice', 'local']);
  });
});

describe('A2: guessing tokens', () => {
  test('of 1,000 wrong tokens none is taken, and ten are looked at', async () => {
    const find = vi.spyOn(TokenBook.prototype, 'find');
    const { port } = await startApi({ access: { tokens: TOKENS } });
    const statuses = new Map<number, number>();
    for (let round = 0; round < 20; round += 1) {
      const replies = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          post(port, STATS, { authorization: `Bearer guess-${round}-${index}` }),
        ),
      );
      for (const { status } of replies) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    expect(Object.fromEntries(statuses)).toEqual({ 401: 10, 429: 990 });
    expect(find).toHaveBeenCalledTimes(10);
    // The right one has to wait as well: otherwise it could be told from the wrong ones.
    const right = await post(port, STATS, { authorization: `Bearer ${FULL}` });
    expect(right.status).toBe(429);
    expect(Number(right.headers['retry-after'])).toBeGreaterThan(0);
    expect(JSON.parse(right.text)).toMatchObject({ error: { data: { retryable: true } } });
    // Whoever needs no token is not shut out by somebody else's guesses.
    expect((await post(port, STATS)).status).toBe(200);
    find.mockRestore();
  });
});

describe('A4: pages of other origins', () => {
  const TYPES = [
    undefined,
    'text/plain',
    'text/plain;a=application/json',
    'text/plain; charset=utf-8; application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json-patch+json',
    'application/jsonrequest',
    'application/json, text/plain',
    'text/plain, application/json',
    'application/json; charset=utf-16',
    'application/json; a=b',
    'xapplication/json',
    '*/*',
  ];
  const ORIGINS: readonly Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'http://evil.example' },
    { origin: 'null' },
  ];
  const POSTS = TYPES.flatMap((type) => ORIGINS.map((origin) => [type, origin] as const));

  test('there are 42 of them', () => expect(POSTS).toHaveLength(42));

  test.each(POSTS)('a post of %s with %j is not carried out', async (type, origin) => {
    const { port, jobs } = await startApi();
    const headers = { ...origin, ...(type !== undefined && { 'content-type': type }) };
    const reply = await http(port, '/jrpc', { method: 'POST', headers, body: JSON.stringify(CREATE) });
    expect(reply.status).toBe(403);
    expect(jobs.size).toBe(0);
  });

  test.each(TYPES.slice(1))('even without an origin, %s is no JSON', async (type) => {
    const { port, jobs } = await startApi();
    const headers = { 'content-type': type ?? '' };
    expect(
      (await http(port, '/jrpc', { method: 'POST', headers, body: JSON.stringify(CREATE) })).status,
    ).toBe(415);
    expect(jobs.size).toBe(0);
  });

  test.each([
    ['http://127.0.0.1:8080', 403],
    ['http://localhost', 403],
    ['https://console.example.evil.example', 403],
    ['http://console.example', 403],
    ['https://console.example', 200],
  ])('the origin %s gets %i where only https://console.example is allowed', async (origin, status) => {
    const { port } = await startApi({ access: { allowedOrigins: ['https://console.example'] } });
    const reply = await post(port, CREATE, { origin, 'sec-fetch-site': 'cross-site' });
    expect(reply.status).toBe(status);
    expect(reply.headers['access-control-allow-origin']).toBe(status === 200 ? origin : undefined);
  });

  test('a page is told beforehand whether it may call', async () => {
    const { port } = await startApi({
      access: { allowedOrigins: ['https://console.example'], tokens: TOKENS },
    });
    const ask = (origin: string): Promise<HttpReply> =>
      http(port, '/jrpc', {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    const allowed = await ask('https://console.example');
    expect(allowed.status).toBe(204);
    expect(allowed.headers['access-control-allow-headers']).toContain('Authorization');
    expect((await ask('https://evil.example')).status).toBe(403);
  });

  test.each([
    ['same-origin', 200],
    ['none', 200],
    ['same-site', 403],
    ['cross-site', 403],
    ['anything', 403],
  ])('Sec-Fetch-Site %s gets %i on every route', async (site, status) => {
    const { port } = await startApi();
    expect((await http(port, '/health', { headers: { 'sec-fetch-site': site } })).status).toBe(status);
  });
});

describe('A5: names that are not ours', () => {
  const HOSTS: readonly [host: string, status: number][] = [
    ['127.0.0.1', 200],
    ['127.0.0.1:8080', 200],
    ['localhost', 200],
    ['LOCALHOST:1', 200],
    ['[::1]:8080', 200],
    ['10.1.2.3', 200],
    ['node.example:8080', 200],
    ['evil.example', 421],
    ['evil.example:8080', 421],
    ['node.example.evil.example', 421],
    ['localhost.', 421],
    ['localhost.evil.example', 421],
    ['127.1', 421],
    ['0x7f000001', 421],
    ['2130706433', 421],
    ['0.0.0.0', 421],
    ['[::]', 421],
    ['[0:0:0:0:0:0:0:1]', 421],
    ['', 421],
    ['127.0.0.1:99999', 421],
    ['127.0.0.1@evil.example', 421],
    ['127.0.0.1:8080:8080', 421],
    ['[::ffff:0.0.0.0]', 421],
  ];

  test.each(HOSTS)('Host %j gets %i', async (host, status) => {
    const { port } = await startApi({ access: { allowedHosts: ['node.example'] } });
    const reply = await raw(port, `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  const TRICKS: readonly [name: string, head: string, status: number][] = [
    ['two Hosts', 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example', 421],
    ['two Hosts that agree', 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nhost: 127.0.0.1', 421],
    ['another name in the target', 'GET http://evil.example/health HTTP/1.1\r\nHost: 127.0.0.1', 421],
    ['our name in the target only', 'GET http://127.0.0.1/health HTTP/1.1\r\nHost: evil.example', 421],
    ['the same name in both', 'GET http://127.0.0.1/health HTTP/1.1\r\nHost: 127.0.0.1', 200],
    ['a name before an at sign', 'GET http://127.0.0.1@evil.example/health HTTP/1.1\r\nHost: 127.0.0.1', 421],
    ['no Host', 'GET /health HTTP/1.1', 400],
    ['no Host in HTTP/1.0', 'GET /health HTTP/1.0', 421],
  ];

  test.each(TRICKS)('%s', async (_name, head, status) => {
    const { port } = await startApi();
    expect(await raw(port, `${head}\r\nConnection: close\r\n\r\n`)).toMatch(
      new RegExp(`^HTTP/1.1 ${status} `),
    );
  });

  test('every route checks it, JSON-RPC before it reads a body', async () => {
    const { port, jobs } = await startApi();
    for (const path of ['/health', '/ready', '/metrics', '/jobs', '/containers', '/v1/events', '/nowhere']) {
      expect((await http(port, path, { headers: { host: 'evil.example' } })).status).toBe(421);
    }
    expect((await post(port, CREATE, { host: 'evil.example' })).status).toBe(421);
    expect(jobs.size).toBe(0);
  });
});
