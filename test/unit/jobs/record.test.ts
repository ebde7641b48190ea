import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Job } from '../../../src/jobs/job.ts';
import { decodeRecord, encodeRecord, MAX_RECORD_BYTES, RecordError } from '../../../src/jobs/record.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { anyJob } from './arbitrary-job.ts';

/** What other nodes may know of a job. */
function told(job: Job): Job {
  const env = Object.fromEntries(Object.keys(job.spec.env).map((name) => [name, '***']));
  return {
    ...job,
    idempotencyKey: job.idempotencyKey === undefined ? undefined : '***',
    spec: { ...job.spec, env },
  };
}

const [plain] = fc.sample(anyJob, { numRuns: 1, seed: 1 }) as [Job];

function jobWith(request: Record<string, unknown>, more: Partial<Job> = {}): Job {
  const {
    idempotency_key: _key,
    wait_ms: _wait,
    placement: _placement,
    ...spec
  } = jobSpecSchema.parse({ image: 'a', ...request });
  return { ...plain, instance: undefined, outcome: undefined, spec, ...more };
}

function textOf(job: Job): string {
  return Buffer.from(encodeRecord(job)).toString();
}

describe('a record', () => {
  it('tells a job as it is, without its secrets', () => {
    fc.assert(
      fc.property(anyJob, (job) => {
        const bytes = encodeRecord(job);
        expect(bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
        const decoded = decodeRecord(bytes);
        expect(decoded.isAbridged).toBeUndefined();
        expect(decoded).toEqual(told(job));
      }),
    );
  });

  it('holds no value of the environment and no idempotency key', () => {
    const text = textOf(jobWith({ env: { PASSWORD: 'correct horse' } }, { idempotencyKey: 'my-own-key' }));
    expect(text).toContain('PASSWORD');
    expect(text).not.toContain('correct horse');
    expect(text).not.toContain('my-own-key');
  });

  it('keeps the command of a healthcheck and the arguments, as they are shown by the owner', () => {
    const job = jobWith({ arguments: ['--port', '80'], healthcheck: { test: ['curl', 'localhost'] } });
    const { spec } = decodeRecord(encodeRecord(job));
    expect(spec.arguments).toEqual(['--port', '80']);
    expect(spec.healthcheck?.test).toEqual(['curl', 'localhost']);
  });

  it('cuts a long message, and says so', () => {
    const outcome = { reason: 'engine_error' as const, message: 'x'.repeat(5_000), retryable: true };
    const { message } = decodeRecord(encodeRecord(jobWith({}, { outcome }))).outcome ?? { message: '' };
    expect(message).toBe(`${'x'.repeat(1_023)}…`);
  });

  it('leaves out what takes most room first, and only as much as it must', () => {
    const labels = { app: 'shop' };
    const env = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`NAME_${index}`, 'secret']));
    const long = decodeRecord(encodeRecord(jobWith({ arguments: ['x'.repeat(20_000)], labels, env })));
    expect(long).toMatchObject({ isAbridged: true, spec: { arguments: [], labels } });
    expect(Object.keys(long.spec.env)).toHaveLength(100);

    const manyLabels = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`l${i}`, 'y'.repeat(1_000)]));
    const entrypoint = ['/bin/app'];
    const wide = decodeRecord(encodeRecord(jobWith({ labels: manyLabels, entrypoint, env })));
    expect(wide).toMatchObject({ isAbridged: true, spec: { labels: {}, entrypoint } });

    const names = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${'N'.repeat(200)}${i}`, 'v']));
    const deep = decodeRecord(encodeRecord(jobWith({ env: names, entrypoint })));
    expect(deep).toMatchObject({ isAbridged: true, spec: { env: {} } });
    expect(deep.spec.entrypoint).toBeUndefined();
  });

  it('is small enough whatever a job asks for', () => {
    const wide = '\u0001';
    const ports = Array.from({ length: 32 }, (_, index) => ({
      container: index + 1,
      address: wide.repeat(64),
    }));
    const spec = {
      image: 'i'.repeat(512),
      arguments: [wide.repeat(3_000)],
      entrypoint: [wide.repeat(3_000)],
      labels: Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`l${i}`, wide.repeat(1_000)])),
      env: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${wide.repeat(200)}${i}`, wide])),
      healthcheck: { test: [wide.repeat(5_000)] },
      working_dir: `/${wide.repeat(4_095)}`,
      ports,
    };
    const outcome = { reason: 'engine_error' as const, message: wide.repeat(5_000), retryable: true };
    const bytes = encodeRecord(jobWith(spec, { outcome, caller: wide.repeat(500) }));
    expect(bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
    const decoded = decodeRecord(bytes);
    expect(decoded).toMatchObject({ isAbridged: true, id: plain.id, state: plain.state });
    expect(decoded.spec.healthcheck?.test).toEqual([]);
  });

  it('may be larger where there is more room', () => {
    const job = jobWith({ arguments: ['x'.repeat(20_000)] });
    const bytes = encodeRecord(job, 64 * 1024);
    expect(decodeRecord(bytes, 64 * 1024)).toEqual(told(job));
    expect(() => decodeRecord(bytes)).toThrow(RecordError);
  });
});

describe('reading a record', () => {
  const wire = (): Record<string, unknown> => JSON.parse(textOf(plain)) as Record<string, unknown>;
  const read = (value: unknown): Job => decodeRecord(Buffer.from(JSON.stringify(value)));

  it('fails with its own error alone, whatever the bytes are', () => {
    const isOwn = (bytes: Uint8Array): void => {
      try {
        decodeRecord(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RecordError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), isOwn));
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => isOwn(Buffer.from(text))));
    fc.assert(
      fc.property(anyJob, fc.string(), fc.jsonValue(), (job, key, value) => {
        const message = JSON.parse(textOf(job)) as Record<string, unknown>;
        const keys = Object.keys(message);
        isOwn(Buffer.from(JSON.stringify({ ...message, [key]: value })));
        isOwn(Buffer.from(JSON.stringify({ ...message, [keys[key.length % keys.length] ?? 'v']: value })));
      }),
    );
    isOwn(Buffer.from('['.repeat(16_000)));
  });

  it('leaves out what only a newer node knows', () => {
    const message = wire();
    const spec = { ...(message['spec'] as object), gpu: 1 };
    expect(read({ ...message, spec, mood: 'good' })).toEqual(told(plain));
  });

  it('takes a reason that only a newer node has', () => {
    const outcome = { reason: 'duplicate_of', message: '', retryable: false };
    expect(read({ ...wire(), outcome }).outcome).toEqual(outcome);
  });

  it('refuses a newer version, by a code of its own', () => {
    expect(() => read({ ...wire(), v: 2 })).toThrow(expect.objectContaining({ code: 'record_version' }));
  });

  it.each([
    ['no id', { id: undefined }],
    ['an id that is none', { id: 'x' }],
    ['an unknown state', { state: 'sleeping' }],
    ['a negative place', { seq: -1 }],
    ['a time that no calendar has', { updated: 1e18 }],
    ['an owner with a line end', { owner: 'a\nb' }],
    ['no spec', { spec: undefined }],
    ['a label that is no text', { spec: { image: 'a', labels: { a: 1 } } }],
  ])('refuses %s', (_what, change) => {
    expect(() => read({ ...wire(), ...change })).toThrow(expect.objectContaining({ code: 'record_invalid' }));
  });
});

/** Records that nodes have written. A node reads them as long as it calls itself compatible with version 1: none is ever changed. */
const golden = JSON.parse(
  readFileSync(new URL('./golden/record-v1.json', import.meta.url), 'utf8'),
) as readonly { readonly what: string; readonly record: string; readonly job: unknown }[];

describe('records of version 1', () => {
  it.each(golden)('$what', ({ record, job }) => {
    const decoded = decodeRecord(Buffer.from(record));
    expect(JSON.parse(JSON.stringify(decoded))).toEqual(job);
    expect(Buffer.from(encodeRecord(decoded)).toString()).toBe(record);
  });
});
