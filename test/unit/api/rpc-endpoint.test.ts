import { expect, test } from 'vitest';
import { errorReply } from '../../../src/api/errors.ts';
import type { Call } from '../../../src/api/methods/definition.ts';
import { MAX_REPLY_BYTES } from '../../../src/api/reply-budget.ts';
import { RpcEndpoint, type RpcMethod } from '../../../src/api/rpc-endpoint.ts';

const MIB = 1024 ** 2;
/** `error.data` as far as it is looked at here. */
interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { code: number; message: string; data: { reason: string; details: object } };
}

const called: string[] = [];
const METHODS: Record<string, (params: unknown) => unknown> = {
  'Text.OfLength': (params) => 'é'.repeat(lengthIn(params) / 2),
  // As JSON.stringify fails beyond half a GiB, without the time that takes.
  'Text.TooLong': () => ({
    toJSON: () => {
      throw new RangeError('Invalid string length');
    },
  }),
  'Text.None': () => 1n,
  'Text.Small': () => 'small',
};

/** By name, or in an array. */
function lengthIn(params: unknown): number {
  const [named] = [params].flat() as { bytes: number }[];
  return named?.bytes ?? 0;
}

function ask(body: unknown): Promise<{ status: number; text: string }> {
  called.length = 0;
  const ignore = (): void => undefined;
  const methods = Object.entries(METHODS).map(([name, method]): [string, RpcMethod] => [
    name,
    {
      scope: 'read',
      call: (params) => {
        called.push(name);
        return method(params);
      },
    },
  ]);
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  const endpoint = new RpcEndpoint(
    { maxBatchItems: 100, maxNesting: 64 },
    {
      methods: new Map(methods),
      errorReply: (error, route) => errorReply(error, { logger, onInvariantError: ignore }, { route }),
      onCall: ignore,
    },
  );
  const context: Call = { caller: { name: 'local', scope: 'full' }, signal: new AbortController().signal };
  return new Promise((resolve) =>
    endpoint.handle(Buffer.from(JSON.stringify(body)), context, (status, text) => resolve({ status, text })),
  );
}

const call = (id: number, method: string, params: object = {}): object => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

test('the answers to a batch are bounded together; what finds no room is refused, and not carried out', async () => {
  const calls = Array.from({ length: 100 }, (_, id) => call(id, 'Text.OfLength', { bytes: MIB }));
  const { status, text } = await ask(calls);
  expect(status).toBe(200);
  expect(Buffer.byteLength(text)).toBeLessThan(MAX_REPLY_BYTES + 100 * 512);
  const answers = JSON.parse(text) as Answer[];
  expect(answers.map(({ id }) => id)).toEqual(calls.map((_, id) => id));
  const full = answers.filter(({ result }) => result !== undefined);
  expect(full).toHaveLength(7);
  for (const { error } of answers.slice(7)) {
    expect(error).toMatchObject({
      code: -32603,
      message: expect.stringContaining('smaller limit') as string,
      data: { reason: 'reply_too_large', retryable: false, details: { max_reply_bytes: MAX_REPLY_BYTES } },
    });
  }
  expect(called.length).toBe(8);
});

test('a small answer finds room after one that did not', async () => {
  const { text } = await ask([
    { jsonrpc: '2.0', method: 'Text.Small' },
    call(1, 'Text.Small'),
    call(2, 'Text.OfLength', { bytes: MAX_REPLY_BYTES }),
    { jsonrpc: '2.0', method: 'Text.Small' },
  ]);
  const answers = JSON.parse(text) as Answer[];
  expect(answers.map(({ result, error }) => result ?? error?.data.reason)).toEqual([
    'small',
    'reply_too_large',
  ]);
  expect(called.filter((name) => name === 'Text.Small')).toHaveLength(3);
});

test.each([
  ['too long', 'Text.OfLength', 'reply_too_large'],
  ['longer than a text can be', 'Text.TooLong', 'reply_too_large'],
  ['no JSON', 'Text.None', 'internal_error'],
])('an answer that is %s is an error', async (_what, method, reason) => {
  const params = { bytes: MAX_REPLY_BYTES };
  for (const body of [call(7, method, params), [call(7, method, params)]]) {
    const { status, text } = await ask(body);
    expect(status).toBe(200);
    const [answer] = [JSON.parse(text) as Answer | Answer[]].flat();
    expect(answer).toMatchObject({ id: 7, error: { code: -32603, data: { reason } } });
  }
  const legacy = await ask({ method, params: [params], id: 7 });
  expect(legacy.status).toBe(400);
  expect(JSON.parse(legacy.text)).toMatchObject({ result: null, error: expect.any(String) as string, id: 7 });
});
