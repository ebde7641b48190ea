import { describe, expect, test } from 'vitest';
import { Access } from '../../../src/api/access.ts';
import { protocolError } from '../../../src/api/errors.ts';
import { HttpListener } from '../../../src/api/http-listener.ts';
import { DEFAULT_API_LIMITS } from '../../../src/api/limits.ts';
import type { RpcMethod } from '../../../src/api/rpc-endpoint.ts';
import { RpcEndpoint } from '../../../src/api/rpc-endpoint.ts';
import { RpcRoute } from '../../../src/api/rpc-route.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { onTestFinished } from 'vitest';
import { http, OPEN_TO_LOOPBACK, post, startApi } from './api-harness.ts';

/** The methods of the specification's examples. */
function exampleMethods(): ReadonlyMap<string, RpcMethod> {
  const read = (call: (params: never) => unknown): RpcMethod => ({
    scope: 'read',
    call: call as (p: unknown) => unknown,
  });
  const quiet = read(() => null);
  return new Map([
    ['subtract', read((p: number[] | { minuend: number; subtrahend: number }) => subtract(p))],
    ['sum', read((numbers: number[]) => numbers.reduce((total, number) => total + number, 0))],
    ['get_data', read(() => ['hello', 5])],
    ['update', quiet],
    ['notify_hello', quiet],
    ['notify_sum', quiet],
  ]);
}

function subtract(params: number[] | { minuend: number; subtrahend: number }): number {
  return Array.isArray(params) ? (params[0] ?? 0) - (params[1] ?? 0) : params.minuend - params.subtrahend;
}

async function startExamples(): Promise<number> {
  const ignore = (): void => undefined;
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  const metrics = {
    rpcCall: ignore,
    httpRequest: ignore,
    refused: ignore,
    streamOpened: ignore,
    streamClosed: ignore,
    render: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
  };
  const endpoint = new RpcEndpoint(DEFAULT_API_LIMITS, {
    methods: exampleMethods(),
    errorReply: (error) => protocolError('internal_error', String(error)),
    onCall: ignore,
  });
  const route = new RpcRoute(DEFAULT_API_LIMITS, endpoint, { metrics, clock: systemClock });
  const listener = new HttpListener(
    { listenAddress: '127.0.0.1', port: 0, limits: DEFAULT_API_LIMITS },
    {
      logger,
      metrics,
      clock: systemClock,
      access: new Access(OPEN_TO_LOOPBACK, { clock: systemClock }),
      handle: (exchange) => route.handle(exchange),
      onStopping: ignore,
    },
  );
  const { port } = await listener.listen();
  onTestFinished(() => listener.close({ graceMs: 0 }));
  return port;
}

const INVALID = { jsonrpc: '2.0', error: { code: -32600, message: 'Invalid Request' }, id: null };

/** Section 7 of the specification, in its order: what is sent, and what comes back. */
const EXAMPLES: readonly [name: string, sent: string, back: unknown][] = [
  [
    'positional parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    { jsonrpc: '2.0', result: 19, id: 1 },
  ],
  [
    'positional parameters, the other way round',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    { jsonrpc: '2.0', result: -19, id: 2 },
  ],
  [
    'named parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    { jsonrpc: '2.0', result: 19, id: 3 },
  ],
  [
    'named parameters in another order',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    { jsonrpc: '2.0', result: 19, id: 4 },
  ],
  ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', undefined],
  ['a notification of an unknown method', '{"jsonrpc": "2.0", "method": "foobar"}', undefined],
  [
    'a non-existent method',
    '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
    { jsonrpc: '2.0', error: { code: -32601, message: 'Method not found' }, id: '1' },
  ],
  [
    'invalid JSON',
    '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
    { jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null },
  ],
  ['an invalid request object', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID],
  [
    'a batch of invalid JSON',
    '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
    { jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null },
  ],
  ['an empty batch', '[]', INVALID],
  ['a batch of one thing that is no call', '[1]', [INVALID]],
  ['a batch of three things that are no calls', '[1,2,3]', [INVALID, INVALID, INVALID]],
  [
    'a mixed batch',
    `[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]`,
    [
      { jsonrpc: '2.0', result: 7, id: '1' },
      { jsonrpc: '2.0', result: 19, id: '2' },
      INVALID,
      { jsonrpc: '2.0', error: { code: -32601, message: 'Method not found' }, id: '5' },
      { jsonrpc: '2.0', result: ['hello', 5], id: '9' },
    ],
  ],
  [
    'a batch of notifications',
    `[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]`,
    undefined,
  ],
];

/** `data` is ours to add (section 5.1). */
function withoutData(reply: unknown): unknown {
  return JSON.parse(JSON.stringify(reply), (key, value: unknown) => (key === 'data' ? undefined : value));
}

describe('the examples of the JSON-RPC 2.0 specification', () => {
  test.each(EXAMPLES)('%s', async (_name, sent, back) => {
    const port = await startExamples();
    const reply = await post(port, sent);
    if (back === undefined) {
      expect(reply).toMatchObject({ status: 204, text: '' });
    } else {
      expect(withoutData(JSON.parse(reply.text))).toEqual(back);
    }
  });
});

const STATUS = { jsonrpc: '2.0', method: 'QueueService.Stats' };

describe('JSON-RPC 2.0 beyond its examples', () => {
  test('a null id is an id, and is answered', async () => {
    const { port } = await startApi();
    const reply = JSON.parse((await post(port, { ...STATUS, id: null })).text) as Record<string, unknown>;
    expect(Object.keys(reply).sort()).toEqual(['id', 'jsonrpc', 'result']);
    expect(reply['id']).toBeNull();
  });

  test.each([0, -1, 1.5, '', 'x', '0'])('the id %j comes back as it is', async (id) => {
    const { port } = await startApi();
    expect(JSON.parse((await post(port, { ...STATUS, id })).text)).toMatchObject({ id });
  });

  test.each([[true], [{}], [[1]]])('the id %j is none', async (id) => {
    const { port } = await startApi();
    expect(JSON.parse((await post(port, { ...STATUS, id })).text)).toMatchObject({
      id: null,
      error: { code: -32600 },
    });
  });

  test('a result never has an error beside it, nor an error a result', async () => {
    const { port } = await startApi();
    const good = JSON.parse((await post(port, { ...STATUS, id: 1 })).text) as object;
    const bad = JSON.parse((await post(port, { jsonrpc: '2.0', id: 1, method: 'No.Such' })).text) as object;
    expect(Object.keys(good).sort()).toEqual(['id', 'jsonrpc', 'result']);
    expect(Object.keys(bad).sort()).toEqual(['error', 'id', 'jsonrpc']);
  });

  test('every error of the protocol says what to make of it', async () => {
    const { port } = await startApi();
    for (const body of ['{', '[]', '7', '{"jsonrpc":"2.0","id":1,"method":"No.Such"}', '{"jsonrpc":"1.5"}']) {
      const { error } = JSON.parse((await post(port, body)).text) as { error: { data: unknown } };
      expect(error.data).toMatchObject({ reason: expect.any(String) as string, retryable: false });
    }
  });

  test('a batch inside a batch is no call', async () => {
    const { port } = await startApi();
    const reply = JSON.parse(
      (await post(port, [[{ ...STATUS, id: 1 }], { ...STATUS, id: 2 }])).text,
    ) as unknown[];
    expect(reply).toMatchObject([
      { id: null, error: { code: -32600 } },
      { id: 2, result: {} },
    ]);
  });

  test('a call written as a text is no call', async () => {
    const { port, rpcCalls } = await startApi();
    const text = JSON.stringify({ ...STATUS, id: 1 });
    expect(JSON.parse((await post(port, [text])).text)).toMatchObject([
      { id: null, error: { code: -32600 } },
    ]);
    expect(JSON.parse((await post(port, JSON.stringify(text))).text)).toMatchObject({
      error: { code: -32600 },
    });
    expect(rpcCalls).toEqual([]);
  });

  test.each([99, 100])('a batch of %i calls is answered', async (count) => {
    const { port } = await startApi();
    const batch = Array.from({ length: count }, (_, id) => ({ ...STATUS, id }));
    const reply = JSON.parse((await post(port, batch)).text) as { id: number }[];
    expect(reply.map(({ id }) => id)).toEqual(batch.map(({ id }) => id));
  });

  test.each([101, 1000])('a batch of %i calls is one error, and none is carried out', async (count) => {
    const { port, rpcCalls } = await startApi();
    const batch = Array.from({ length: count }, (_, id) => ({ ...STATUS, id }));
    const reply = JSON.parse((await post(port, batch)).text) as unknown;
    expect(reply).toMatchObject({
      id: null,
      error: { code: -32600, data: { details: { max_batch_items: 100 } } },
    });
    expect(rpcCalls).toEqual([]);
  });

  test('calls of one batch run side by side, no more than 32 at once', async () => {
    const api = await startApi();
    let running = 0;
    let most = 0;
    const create = api.jobs.create.bind(api.jobs);
    api.jobs.create = async (request, caller) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return create(request, caller);
    };
    const batch = Array.from({ length: 100 }, (_, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'ContainerService.Create',
      params: { image: 'nginx' },
    }));
    await post(api.port, batch);
    expect(api.jobs.size).toBe(100);
    expect(most).toBe(32);
  });
});

describe('bodies', () => {
  test('invalid UTF-8 is a parse error', async () => {
    const { port } = await startApi();
    const reply = await post(port, Buffer.from([0x22, 0xff, 0xfe, 0x22]));
    expect(JSON.parse(reply.text)).toMatchObject({
      error: { code: -32700, data: { details: { problem: 'the body is not valid UTF-8' } } },
    });
  });

  test('an empty body is a parse error', async () => {
    const { port } = await startApi();
    const reply = await post(port, '');
    expect(reply.status).toBe(400);
    expect(JSON.parse(reply.text)).toMatchObject({ id: null, error: { code: -32700 } });
  });

  test.each([
    [63, 'ok'],
    [64, 'ok'],
    [65, 'refused'],
    [100_000, 'refused'],
  ])('nesting of %i levels is %s', async (levels, outcome) => {
    const { port } = await startApi();
    // The request and its params are two levels.
    const value = '['.repeat(levels - 2) + ']'.repeat(levels - 2);
    const reply = await post(
      port,
      `{"jsonrpc":"2.0","id":1,"method":"JobService.Get","params":{"job_id":${value}}}`,
    );
    const { error } = JSON.parse(reply.text) as { error: { code: number } };
    expect(error.code).toBe(outcome === 'ok' ? -32602 : -32600);
  });

  test('brackets inside strings are no nesting', async () => {
    const { port } = await startApi();
    const name = '[{\\"'.repeat(30);
    const reply = await post(
      port,
      `{"jsonrpc":"2.0","id":1,"method":"JobService.Get","params":{"job_id":"${name}"}}`,
    );
    expect(JSON.parse(reply.text)).toMatchObject({ error: { code: -32001 } });
  });

  test.each(['__proto__', 'constructor', 'prototype', '\\u005f_proto__', 'constr\\u0075ctor'])(
    'A8: the key %s is refused wherever it stands',
    async (key) => {
      const { port, jobs } = await startApi();
      const places = [
        `{"jsonrpc":"2.0","id":7,"method":"ContainerService.Create","params":[{"image":"x","${key}":{"x":1}}]}`,
        `{"jsonrpc":"2.0","id":7,"method":"ContainerService.Create","params":{"image":"x","env":{"${key}":"1"}}}`,
        `{"jsonrpc":"2.0","id":7,"method":"ContainerService.Create","params":{"image":"x"},"${key}":1}`,
      ];
      for (const body of places) {
        const reply = JSON.parse((await post(port, body)).text) as object;
        expect(reply).toMatchObject({
          id: 7,
          error: { code: -32602, message: expect.stringContaining('forbidden key') },
        });
      }
      expect(jobs.size).toBe(0);
      expect(({} as Record<string, unknown>)['x']).toBeUndefined();
    },
  );
});

describe('methods and types', () => {
  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('%s is not how one calls', async (method) => {
    const { port } = await startApi();
    const reply = await http(port, '/jrpc', { method });
    expect(reply).toMatchObject({ status: 405, text: `rpc: POST method required, received ${method}` });
    expect(reply.headers.allow).toBe('POST');
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON;charset="UTF-8"'])(
    'the type %s is taken',
    async (type) => {
      const { port } = await startApi();
      expect((await post(port, { ...STATUS, id: 1 }, { 'content-type': type })).status).toBe(200);
    },
  );

  test('no type at all is taken from what is no browser', async () => {
    const { port } = await startApi();
    const reply = await http(port, '/jrpc', { method: 'POST', body: JSON.stringify({ ...STATUS, id: 1 }) });
    expect(reply.status).toBe(200);
  });

  test('another type is named in the refusal', async () => {
    const { port } = await startApi();
    const reply = await post(port, '{}', { 'content-type': 'text/plain' });
    expect(reply).toMatchObject({ status: 415, text: 'rpc: unrecognized Content-Type: text/plain' });
  });

  test.each(['gzip', 'br', 'deflate', 'identity, gzip'])(
    'a body packed with %s is refused',
    async (encoding) => {
      const { port } = await startApi();
      expect((await post(port, '{}', { 'content-encoding': encoding })).status).toBe(415);
    },
  );
});
