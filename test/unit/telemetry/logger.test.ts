import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodedError, InvariantError } from '../../../src/kernel/errors.ts';
import { createLogger, LOG_METHODS, SILENT_LOGGER, subsystemLogger } from '../../../src/telemetry/logger.ts';
import type { Logger, LogLevel } from '../../../src/telemetry/logger.ts';
import { prettyLine } from '../../../src/telemetry/pretty.ts';
import { MAX_FIELD_LENGTH, safeText } from '../../../src/telemetry/safe-text.ts';

class TestError extends CodedError<'test_code'> {
  override readonly name = 'TestError';
}

function recorded(level: LogLevel = 'trace'): {
  logger: Logger;
  lines: string[];
  last: () => Record<string, unknown>;
} {
  const lines: string[] = [];
  const logger = createLogger({ level, destination: { write: (line) => void lines.push(line) } });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

const NAUGHTY = [
  '\u001b[2J\u001b[31mred',
  '\u001b]0;title\u0007',
  'a\nb',
  'a\r\n{"level":60,"msg":"forged"}',
  '\u009b31m',
  '\u0000\u0008\u007f',
  '\u2028\u2029',
  '\u202egnp.exe\u202c\u2066\u2069\u200f\u061c',
  '\ufeff',
  '\ud800 alone',
  '%s %j %o',
  '"}\n{"',
  '\\u001b[31m',
  '__proto__',
  'x'.repeat(100_000),
  '\u001b'.repeat(1000),
];

/** Every way a text can get into a line. */
const PATHS: Readonly<Record<string, (logger: Logger, text: string) => void>> = {
  'a fact': (logger, text) => logger.info({ text }, 'event'),
  'a name': (logger, text) => logger.info({ [text]: 1, nested: { [text]: 1 } }, 'event'),
  'a message': (logger, text) => logger.info({}, text),
  'a nested fact': (logger, text) => logger.info({ a: { b: [{ c: text }, text] } }, 'event'),
  'a map': (logger, text) => logger.info({ map: new Map([[text, text]]) }, 'event'),
  'an error': (logger, text) => logger.info({ err: new Error(text, { cause: new Error(text) }) }, 'event'),
  'an error with a code': (logger, text) => {
    logger.info({ err: Object.assign(new Error(text), { name: text, code: text }) }, 'event');
  },
  'a stack': (logger, text) => {
    logger.info(
      { err: Object.assign(new InvariantError('x'), { stack: `Error: ${text}\n    at ${text}\n    at x` }) },
      'event',
    );
  },
  details: (logger, text) =>
    logger.info({ err: new TestError('test_code', text, { details: { text } }) }, 'event'),
  'the facts themselves': (logger, text) => logger.info(new Error(text), 'event'),
  'a child': (logger, text) => logger.child({ text, [text]: text }).info({}, 'event'),
  'a child of a child': (logger, text) => logger.child({ a: text }).child({ b: text }).info({}, 'event'),
};

// Written as escapes, so that this file holds none of them.
const UNSAFE = new RegExp(
  '[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]',
);

describe('L1: nobody forges a line or speaks to a terminal', () => {
  describe.each(Object.entries(PATHS))('%s', (_name, log) => {
    test.each(NAUGHTY.map((text) => [text]))('%j', (text) => {
      const { logger, lines, last } = recorded();
      log(logger, text);
      expect(lines).toHaveLength(1);
      const line = lines[0] ?? '';
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).not.toMatch(UNSAFE);
      expect(last()).toMatchObject({ level: 30 });
      expect(textsOf(last()).filter((found) => found.length > MAX_FIELD_LENGTH)).toEqual([]);
      // Whoever decodes the JSON must not find them either.
      expect(textsOf(last()).filter((found) => UNSAFE.test(found) || found.includes('\n'))).toEqual([]);
      expect(Buffer.byteLength(line)).toBeLessThan(8192);
    });
  });

  test('any text becomes one harmless line of bounded length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        const safe = safeText(text);
        expect(safe.length).toBeLessThanOrEqual(MAX_FIELD_LENGTH);
        expect(safe).not.toMatch(UNSAFE);
        expect(safe).not.toContain('\n');
        expect(safe.isWellFormed()).toBe(true);
      }),
    );
  });

  test('harmless text stays as it is, up to the limit', () => {
    for (const text of ['', 'plain', 'ümläut 容器 😀', 'x'.repeat(MAX_FIELD_LENGTH)])
      expect(safeText(text)).toBe(text);
    expect(safeText('x'.repeat(MAX_FIELD_LENGTH + 1))).toBe(`${'x'.repeat(MAX_FIELD_LENGTH - 3)}...`);
  });

  test('the readable form is one line as well, without a byte of the text that a terminal obeys', () => {
    for (const log of Object.values(PATHS)) {
      for (const text of NAUGHTY) {
        const { logger, lines } = recorded();
        log(logger, text);
        // The colours of the level are ours.
        const pretty = prettyLine(lines[0] ?? '').replace('\u001b[32mINFO \u001b[39m', '');
        expect(pretty).not.toMatch(UNSAFE);
        expect(pretty.indexOf('\n')).toBe(pretty.length - 1);
      }
    }
  });
});

describe('L2: secrets are not logged', () => {
  const canary = 'CANARY7f3a9b2c5d8e';
  const places: Readonly<Record<string, object>> = {
    'a spec': { spec: { image: 'a', env: { PASSWORD: canary } } },
    'an engine body': { body: { Env: [`PASSWORD=${canary}`] } },
    'env at the top': { env: { A: canary } },
    'a header': { headers: { authorization: `Bearer ${canary}` } },
    'a header in capitals': { headers: { Authorization: `Basic ${canary}` } },
    'registry credentials': { headers: { 'X-Registry-Auth': canary } },
    'raw headers': {
      rawHeaders: ['Host', 'a', 'authorization', canary, 'X-Registry-Auth', canary, 'Cookie', canary],
    },
    'options of a pull': { authconfig: { username: 'me', password: canary } },
    'the docker config': { auths: { 'registry.example': { auth: canary } } },
    'a token': { token: canary },
    settings: { config: { 'auth.tokens': [{ name: 'a', token: canary }], port: 1 } },
    'a map': { facts: new Map([['token', canary]]) },
    'names in other spellings': {
      access_token: canary,
      apiKey: canary,
      'private-key': canary,
      clientSecret: canary,
      psk: canary,
    },
    'a message of an error': { err: new Error(`GET /x failed: Authorization: Bearer ${canary}`) },
    'a URL with a password': { err: new Error(`cannot reach https://me:${canary}@registry.example/v2/`) },
    'details of an error': {
      err: new TestError('test_code', 'x', { details: { env: { A: canary }, token: canary } }),
    },
    'a cause': { err: new Error('x', { cause: new Error(`bearer ${canary}`) }) },
    'below the deepest level': { a: { b: { c: { d: { e: { f: { g: canary } } } } } } },
    'a list in a list': { list: [[{ env: [canary] }]] },
    bytes: { bytes: Buffer.from(canary) },
    'a function': { call: () => canary },
  };

  test.each(Object.entries(places))('%s', (_name, facts) => {
    const { logger, lines } = recorded();
    logger.error(facts, 'event');
    logger.child(facts).info({}, 'event');
    logger.info({}, `Authorization: Bearer ${canary}`);
    logger.info(facts instanceof Error ? facts : { facts }, 'event');
    expect(lines).toHaveLength(4);
    expect(lines.join('')).not.toContain(canary);
    expect(lines.join('')).not.toContain(Buffer.from(canary).toString('base64'));
  });

  test('what is no secret is still there', () => {
    const { logger, last } = recorded();
    logger.info({ job_id: 'j', image: 'a:1', tokenized: false, keys: 3, environment_id: 'x' }, 'event');
    expect(last()).toMatchObject({
      job_id: 'j',
      image: 'a:1',
      tokenized: false,
      keys: 3,
      environment_id: 'x',
    });
  });
});

describe('a line', () => {
  test('has level, time, facts and message', () => {
    const { logger, last } = recorded();
    subsystemLogger(logger, 'jobs')
      .child({ job_id: 'j' })
      .warn({ waited_ms: 5, at: new Date(0), big: 1n }, 'job waited');
    expect(last()).toEqual({
      level: 40,
      time: expect.any(Number) as number,
      subsystem: 'jobs',
      job_id: 'j',
      waited_ms: 5,
      at: '1970-01-01T00:00:00.000Z',
      big: '1',
      msg: 'job waited',
    });
  });

  test.each(LOG_METHODS.map((method) => [method]))('%s is written from its own level on', (method) => {
    for (const level of LOG_METHODS) {
      const { logger, lines } = recorded(level);
      logger[method]({}, 'event');
      expect(lines).toHaveLength(LOG_METHODS.indexOf(method) >= LOG_METHODS.indexOf(level) ? 1 : 0);
    }
  });

  test('facts cannot stand in for what the logger writes', () => {
    const { logger, last } = recorded();
    logger.child({ hasOwnProperty: 1 }).info({ level: 60, time: 0, msg: 'forged' }, 'event');
    expect(last()).toMatchObject({ level: 30, msg: 'event', level_: 60, time_: 0, msg_: 'forged' });
  });

  test('an error is name, code, message and cause; where it was thrown only at debug, or when it is our mistake', () => {
    const error = new TestError('test_code', 'it failed', {
      details: { field: 'a' },
      cause: new TypeError('why'),
    });
    const info = recorded('info');
    info.logger.error({ err: error }, 'event');
    expect(info.last()['err']).toEqual({
      name: 'TestError',
      code: 'test_code',
      message: 'it failed',
      details: { field: 'a' },
      cause: { name: 'TypeError', message: 'why' },
    });
    const debug = recorded('debug');
    debug.logger.error({ err: error }, 'event');
    expect((debug.last()['err'] as { stack: string[] }).stack[0]).toMatch(/^at .*logger\.test\.ts/);
    info.logger.error({ err: new InvariantError('cannot be') }, 'event');
    expect((info.last()['err'] as { stack: string[] }).stack[0]).toMatch(/^at .*logger\.test\.ts/);
  });

  test('is bounded, whatever the facts are', () => {
    const { logger, lines } = recorded();
    const itself: Record<string, unknown> = { list: Array.from({ length: 10_000 }, (_, index) => index) };
    itself['self'] = itself;
    const wide = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [`k${index}`, 'x'.repeat(300)]),
    );
    const chain = Array.from({ length: 100 }).reduce<Error>(
      (cause) => new Error('x', { cause }),
      new Error('first'),
    );
    for (const facts of [itself, wide, { err: chain }]) logger.info(facts, 'event');
    for (const line of lines) expect(line.length).toBeLessThan(16_384);
  });

  test('logging never throws', () => {
    const { logger, lines } = recorded();
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no');
        },
      },
    );
    const getter = {
      get a(): never {
        throw new Error('no');
      },
    };
    const noPrototype = Object.assign(Object.create(null) as object, { a: 1, toString: 2 });
    const oddError = Object.assign(new Error('x'), {
      message: undefined,
      name: undefined,
      stack: 5,
      cause: null,
    });
    for (const facts of [trap, getter, noPrototype, { err: oddError }, { d: new Date(Number.NaN) }]) {
      expect(() => logger.child(facts).info(facts, 'event')).not.toThrow();
    }
    expect(lines).toHaveLength(5);
  });

  test('silence writes nothing and costs no copy', () => {
    let reads = 0;
    SILENT_LOGGER.fatal(
      {
        get a() {
          return (reads += 1);
        },
      },
      'event',
    );
    expect(reads).toBe(0);
  });
});

describe('stderr', () => {
  test('is complete when the process dies right after', () => {
    const module = JSON.stringify(join(import.meta.dirname, '../../../src/telemetry/logger.ts'));
    const script = `
      const { createLogger } = await import(${module});
      const logger = createLogger({ level: 'info' });
      for (let index = 0; index < 1000; index += 1) logger.info({ index }, 'event');
      logger.fatal({}, 'last words');
      process.kill(process.pid, 'SIGKILL');
    `;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(child.signal).toBe('SIGKILL');
    expect(child.stdout).toBe('');
    const lines = child.stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(1001);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ level: 60, msg: 'last words' });
  });
});

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [name, ...textsOf(member)]);
}
