import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/kernel/clock.ts';
import type { InstanceId } from '../../../src/kernel/ids.ts';
import type { InstancePlan } from '../../../src/runtime/driver.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import {
  endless,
  FakeEngine,
  type FakeReply,
  json,
  raw,
  text,
  unfinished,
  VERSION_REPLY,
} from '../../support/fake-engine.ts';
import { PATIENCE } from '../../support/patience.ts';

const CALL_TIMEOUT_MS = 1000;
/** Beyond its limit a call may take what a busy machine needs to notice, with all of them at once. */
const SETTLE_MS = 20 * CALL_TIMEOUT_MS;
const MIB = 1024 ** 2;
const ID = 'a'.repeat(64) as InstanceId;

const PLAN: InstancePlan = {
  name: 'job',
  image: 'app:1',
  entrypoint: undefined,
  arguments: [],
  env: {},
  labels: {},
  workingDir: undefined,
  user: undefined,
  hasCapabilities: true,
  files: 'writable',
  network: 'none',
  ports: [],
  memoryBytes: 64 * MIB,
  cpus: 1,
  pids: 64,
  stopSignal: undefined,
  healthcheck: undefined,
};

let engine: FakeEngine;
let driver: DockerDriver;
const uncaught: unknown[] = [];
const onUncaught = (error: unknown): void => void uncaught.push(error);

beforeAll(() => {
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
});
afterAll(() => {
  process.off('uncaughtException', onUncaught);
  process.off('unhandledRejection', onUncaught);
});
beforeEach(async () => {
  uncaught.length = 0;
  engine = await FakeEngine.start();
  driver = new DockerDriver(
    {
      host: engine.host,
      callTimeoutMs: CALL_TIMEOUT_MS,
      pullTimeoutMs: CALL_TIMEOUT_MS,
      pullInactivityMs: CALL_TIMEOUT_MS / 2,
    },
    { env: { HOME: '/nonexistent' } },
  );
});
afterEach(async () => {
  await driver[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  expect(uncaught).toEqual([]);
});

const drain = async (stream: AsyncIterable<unknown>): Promise<void> => {
  for await (const _item of stream);
};

const CALLS = {
  info: { route: ['GET', /version/], call: () => driver.info() },
  findImage: { route: ['GET', /images/], call: () => driver.findImage('app:1') },
  pullImage: { route: ['POST', /images\/create/], call: () => driver.pullImage('app:1', {}) },
  create: { route: ['POST', /containers\/create/], call: () => driver.create(PLAN) },
  start: { route: ['POST', /start/], call: () => driver.start(ID) },
  stop: { route: ['POST', /stop/], call: () => driver.stop(ID, { graceMs: 0 }) },
  remove: { route: ['DELETE', /containers/], call: () => driver.remove(ID) },
  inspect: { route: ['GET', /containers\/.*\/json/], call: () => driver.inspect(ID) },
  list: { route: ['GET', /containers\/json/], call: () => driver.list({}) },
  stats: { route: ['GET', /stats/], call: () => driver.stats(ID) },
  listImages: { route: ['GET', /images\/json/], call: () => driver.listImages({}) },
  readFile: { route: ['GET', /archive/], call: () => driver.readFile(ID, '/x', { maxBytes: MIB }) },
  pause: { route: ['POST', /pause/], call: () => driver.pause(ID) },
  unpause: { route: ['POST', /unpause/], call: () => driver.unpause(ID) },
  imageEvents: {
    route: ['GET', /events/],
    call: () => drain(driver.imageEvents({ signal: AbortSignal.timeout(2 * CALL_TIMEOUT_MS) })),
  },
  logs: { route: ['GET', /logs/], call: () => drain(driver.logs(ID, {})) },
  events: {
    route: ['GET', /events/],
    call: () => drain(driver.events({ labels: {}, signal: AbortSignal.timeout(2 * CALL_TIMEOUT_MS) })),
  },
} as const satisfies Record<string, { route: readonly [string, RegExp]; call: () => Promise<unknown> }>;
type CallName = keyof typeof CALLS;
const ALL = Object.keys(CALLS) as CallName[];
/** Those whose reply is read as one JSON value. */
const WHOLE: CallName[] = ['info', 'findImage', 'listImages', 'create', 'inspect', 'list', 'stats'];
const STREAMS: CallName[] = ['pullImage', 'readFile', 'logs', 'events', 'imageEvents'];

const frame = (type: number, length: number, body = ''): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, Buffer.from(body)]);
};
const deep = '['.repeat(100_000);

const BAD_REPLIES: [what: string, reply: FakeReply, calls: CallName[]][] = [
  ['nothing at all', () => undefined, ALL],
  ['a connection closed at once', (_response, socket) => void socket.destroy(), ALL],
  ['a connection ended in order', (_response, socket) => void socket.end(), ALL],
  ['half a status line', raw('HTTP/1.1 2', { keepOpen: true }), ALL],
  ['half a head, then the end', raw('HTTP/1.1 200 OK\r\ncontent-le'), ALL],
  ['half a head, then silence', raw('HTTP/1.1 200 OK\r\ncontent-le', { keepOpen: true }), ALL],
  ['no HTTP', raw('220 mail.example ESMTP\r\n'), ALL],
  [
    'a head without end',
    (_response, socket) => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`),
    ALL,
  ],
  [
    'a switch of protocol nobody asked for',
    raw('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ALL,
  ],
  [
    'a redirect',
    raw('HTTP/1.1 301 Moved\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n'),
    ALL,
  ],
  ['a header name that is none', raw('HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n'), ALL],
  [
    'both lengths',
    raw('HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzzzzz'),
    ALL,
  ],
  ['a chunk size that is none', raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n'), ALL],
  ['status 500 with a reason', json(500, { message: 'disk on fire' }), ALL],
  ['status 500 with an empty body', text(500, ''), ALL],
  ['status 500 with a page of HTML', text(500, `<html>${'x'.repeat(10_000)}</html>`), ALL],
  ['status 500 with 1 MiB of reason', json(500, { message: 'x'.repeat(MIB) }), ALL],
  ['status 500 whose reason never ends', endlessError, ALL],
  ['status 503', json(503, { message: 'not now' }), ALL],
  ['status 418', json(418, { message: 'teapot' }), ALL],
  ['an error whose reason is no text', json(500, { message: { a: 1 } }), ALL],
  ['a body that breaks off', unfinished('{"Id":"', 'cut'), ALL],
  ['a body that stops', unfinished('{"Id":"', 'open'), ALL],
  ['a body shorter than announced', raw('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"Id":'), ALL],
  ['a body without end', endless(Buffer.alloc(MIB, ' ')), [...WHOLE, 'pullImage', 'events']],
  ['a huge body', text(200, Buffer.alloc(33 * MIB, ' ')), WHOLE],
  ['no JSON', text(200, 'OK'), [...WHOLE, 'pullImage', 'events']],
  ['an empty body', text(200, ''), WHOLE],
  ['null', text(200, 'null'), [...WHOLE, 'pullImage', 'events']],
  ['a number', text(200, '5'), [...WHOLE, 'pullImage', 'events']],
  ['JSON of great depth', text(200, deep), [...WHOLE, 'pullImage', 'events']],
  [
    'an empty object',
    json(200, {}),
    ['info', 'findImage', 'listImages', 'create', 'inspect', 'stats', 'list', 'events', 'imageEvents'],
  ],
  ['wrong types everywhere', json(200, wrongTypes()), [...WHOLE, 'events']],
  ['a list of nulls', text(200, '[null,null]'), WHOLE],
  ['a prototype', text(200, '{"__proto__":{"Id":"x"},"constructor":1}'), WHOLE],
  [
    'invalid UTF-8',
    text(200, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22])),
    [...WHOLE, 'pullImage', 'events'],
  ],
  ['a line without end', endless(Buffer.alloc(64 * 1024, 'x')), ['pullImage', 'events', 'logs']],
  [
    'a good line, then garbage',
    unfinished('{"status":"x","Action":"y","Actor":{"ID":"z"}}\n%%%\n', 'open'),
    ['pullImage', 'events'],
  ],
  [
    'an error in the middle of a pull',
    unfinished('{"status":"Pulling"}\n{"error":"boom"}\n', 'open'),
    ['pullImage'],
  ],
  ['a pull that ends without an image', unfinished('{"status":"Pulling"}\n', 'done'), ['pullImage']],
  ['a frame of 4 GiB', unfinished(frame(1, 0xffff_ffff, 'x'), 'open'), ['logs']],
  ['a frame of an unknown stream', unfinished(frame(9, 1, 'x'), 'open'), ['logs']],
  ['half a frame header', unfinished(Buffer.from([1, 0, 0]), 'done'), ['logs']],
  ['half a frame', unfinished(frame(1, 10, 'x'), 'done'), ['logs']],
  ['a frame that stops', unfinished(frame(1, 10, 'x'), 'open'), ['logs']],
];

function endlessError(response: Parameters<FakeReply>[0]): void {
  response.writeHead(500);
  response.on('error', () => undefined);
  const push = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(MIB, 'x')));
  };
  response.on('drain', push);
  push();
}

function wrongTypes(): Record<string, unknown> {
  const names = [
    'Id',
    'Name',
    'Created',
    'Image',
    'Config',
    'State',
    'Version',
    'ApiVersion',
    'Actor',
    'Action',
    'read',
  ];
  return Object.fromEntries(names.map((name, index) => [name, [1, [], {}, true, null][index % 5]]));
}

describe('A12: an engine that answers badly', () => {
  it('is tried with at least 30 kinds of bad replies', () => {
    expect(BAD_REPLIES.length).toBeGreaterThanOrEqual(30);
  });

  it.each(BAD_REPLIES)('%s fails each call by a RuntimeError in time', async (_what, reply, names) => {
    // Agreed on before, so that the bad reply meets the call itself.
    await driver.info();
    for (const name of names) engine.on(CALLS[name].route[0], CALLS[name].route[1], reply);
    await Promise.all(
      names.map(async (name) => {
        const startedMs = performance.now();
        const outcome: unknown = await CALLS[name].call().then(
          () => 'succeeded',
          (error: unknown) => error,
        );
        expect(performance.now() - startedMs, name).toBeLessThan(SETTLE_MS);
        // A stream of events that says nothing is no failure: it ends when its reader wants no more.
        if ((name === 'events' || name === 'imageEvents') && outcome === 'succeeded') return;
        expect(outcome, name).toBeInstanceOf(RuntimeError);
        expect((outcome as RuntimeError).message.length, name).toBeLessThan(3000);
      }),
    );
  });

  it.each(BAD_REPLIES.filter(([, , calls]) => calls.includes('info')))(
    '%s to the first question leaves the engine unavailable, and the next call asks again',
    async (_what, reply) => {
      engine.on('GET', /version/, reply);
      const startedMs = performance.now();
      const first: unknown = await driver.inspect(ID).catch((error: unknown) => error);
      expect(performance.now() - startedMs).toBeLessThan(SETTLE_MS);
      expect(first).toBeInstanceOf(RuntimeError);
      expect(['engine_unavailable', 'timeout']).toContain((first as RuntimeError).code);
      engine.on('GET', /version/, json(200, VERSION_REPLY));
      expect(await driver.inspect(ID)).toBeUndefined();
    },
  );

  it.each(STREAMS)('closes the connection of a %s stream that it gave up', async (name) => {
    await driver.info();
    engine.on(CALLS[name].route[0], CALLS[name].route[1], unfinished('%%%\n', 'open'));
    const before = engine.openCount;
    await CALLS[name].call().catch(() => undefined);
    await expect.poll(() => engine.openCount, PATIENCE).toBeLessThanOrEqual(before);
  });

  it('knows no outcome of a create whose reply was lost', async () => {
    await driver.info();
    engine.on('POST', /create/, (_response, socket) => void socket.destroy());
    const error: unknown = await driver.create(PLAN).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'engine_unavailable', retryable: true });
    // It is never sent twice: the first may have been carried out.
    expect(engine.requests.filter((request) => request.path.endsWith('/create'))).toHaveLength(1);
  });

  it('asks again over a new connection when a kept one had been closed', async () => {
    await driver.info();
    engine.cut();
    expect(await driver.inspect(ID)).toBeUndefined();
    expect(await driver.list({}).catch((error: unknown) => error)).toBeInstanceOf(RuntimeError);
  });

  it('answers short calls while many containers take their time to stop', async () => {
    const stops = 130;
    await driver.info();
    engine.on('POST', /stop/, () => undefined);
    engine.on('GET', /containers\/json/, json(200, []));
    const stopping = Array.from({ length: stops }, () =>
      driver.stop(ID, { graceMs: 600_000 }).catch((error: unknown) => error),
    );
    const arrived = (): number => engine.requests.filter(({ path }) => path.endsWith('/stop')).length;
    await expect.poll(arrived, PATIENCE).toBe(stops);
    expect(await driver.list({})).toEqual([]);
    await driver[Symbol.asyncDispose]();
    await Promise.all(stopping);
  });

  it('stays with the engine that answered first, wherever another one listens', async () => {
    await using other = await FakeEngine.start();
    const env: Record<string, string> = { HOME: '/nonexistent', DOCKER_HOST: engine.host };
    await using searching = new DockerDriver({}, { env });
    await searching.info();
    env['DOCKER_HOST'] = other.host;
    engine.on('GET', /containers/, (_response, socket) => void socket.destroy());
    await expect(searching.inspect(ID)).rejects.toMatchObject({ code: 'engine_unavailable' });
    engine.on('GET', /containers/, json(404, { message: 'No such container' }));
    expect(await searching.inspect(ID)).toBeUndefined();
    expect(other.connectionCount).toBe(0);
  });

  it('follows events over a new connection when the old one fell silent, from the last event on', async () => {
    const timers = new Set<{ readonly delayMs: number; readonly action: () => void }>();
    const after = (delayMs: number, action: () => void): Disposable => {
      const timer = { delayMs, action };
      timers.add(timer);
      return { [Symbol.dispose]: () => void timers.delete(timer) };
    };
    const clock: Clock = { wallMs: () => 1_000, monotonicMs: () => 0, after };
    await using following = new DockerDriver(
      { host: engine.host, callTimeoutMs: CALL_TIMEOUT_MS },
      { clock },
    );
    const event = (id: string, time: number): string =>
      `${JSON.stringify({ Action: 'start', Actor: { ID: id }, time })}
`;
    engine.on('GET', /events/, unfinished(event('first', 5), 'open'));
    let subscriptions = 0;
    const options = { labels: {}, signal: new AbortController().signal };
    const events = following.events({ ...options, onSubscribed: () => (subscriptions += 1) });
    const iterator = events[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ id: 'first' });
    const next = iterator.next();
    engine.on('GET', /events/, unfinished(event('second', 6), 'open'));
    await expect.poll(() => [...timers].map(({ delayMs }) => delayMs), PATIENCE).toEqual([60_000]);
    for (const { action } of timers) action();
    expect((await next).value).toMatchObject({ id: 'second' });
    expect(engine.requests.at(-1)?.query.get('since')).toBe('5.000');
    expect(subscriptions).toBe(1);
    await iterator.return?.();
    await expect.poll(() => engine.openCount, PATIENCE).toBeLessThanOrEqual(1);
  });

  it('keeps its connections between calls', async () => {
    for (let call = 0; call < 20; call += 1) await driver.inspect(ID);
    expect(engine.connectionCount).toBe(1);
  });

  it('refuses an engine that is too old, saying so', async () => {
    engine.on('GET', /version/, json(200, { ...VERSION_REPLY, Version: '18.09', ApiVersion: '1.39' }));
    await expect(driver.inspect(ID)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining('1.39') as string,
    });
  });

  it('speaks the version that both sides know', async () => {
    const spoken = async (versions: object): Promise<string | undefined> => {
      const other = await FakeEngine.start();
      await using _engine = other;
      let version: string | undefined;
      other.on('GET', /version/, json(200, { ...VERSION_REPLY, ...versions }));
      other.on('GET', /containers/, (response) => {
        version = /^\/(v[\d.]+)\//.exec(response.req.url ?? '')?.[1];
        response.writeHead(404).end('{}');
      });
      await using asking = new DockerDriver({ host: other.host });
      await asking.inspect(ID);
      return version;
    };
    expect(await spoken({ ApiVersion: '1.41' })).toBe('v1.41');
    expect(await spoken({ ApiVersion: '1.99' })).toBe('v1.47');
    expect(await spoken({ ApiVersion: '1.99', MinAPIVersion: '1.50' })).toBe('v1.50');
  });

  it('ends every call when it is disposed, and refuses further ones', async () => {
    await driver.info();
    engine.on('GET', /containers/, () => undefined);
    engine.on('GET', /events/, unfinished('', 'open'));
    const before = engine.requests.length;
    const calls = [driver.inspect(ID), CALLS.events.call()].map((call) =>
      call.catch((error: unknown) => error),
    );
    await expect.poll(() => engine.requests.length, PATIENCE).toBe(before + 2);
    await driver[Symbol.asyncDispose]();
    for (const outcome of await Promise.all(calls))
      expect(outcome).toMatchObject({ code: 'engine_unavailable' });
    await expect(driver.inspect(ID)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect.poll(() => engine.openCount, PATIENCE).toBe(0);
  });

  it('closes the connection of a call whose caller has left', async () => {
    await driver.info();
    engine.on('GET', /containers/, () => undefined);
    const abort = new AbortController();
    const reason = new Error('left');
    const before = engine.requests.length;
    const inspecting = driver.inspect(ID, abort.signal);
    await expect.poll(() => engine.requests.length, PATIENCE).toBe(before + 1);
    abort.abort(reason);
    await expect(inspecting).rejects.toBe(reason);
    await expect.poll(() => engine.openCount, PATIENCE).toBe(0);
  });
});
