import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JOB_REASONS, JOB_STATES, type Job, type JobEvent } from '../../../src/jobs/job.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { SecretBox } from '../../../src/kernel/secret-box.ts';
import {
  decodeEvent,
  decodeJob,
  decodeTombstone,
  encodeBody,
  encodeEventBody,
  encodeSpec,
  eventChecksum,
  jobChecksum,
  tombstoneChecksum,
  type JobRow,
} from '../../../src/store/job-row.ts';

const box = new SecretBox(Buffer.alloc(32, 1));
const source = { file: '/data/jobs.db', box };

const text = fc.string({ unit: 'binary', maxLength: 30 });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const count = fc.nat();
const state = fc.constantFrom(...(Object.keys(JOB_STATES) as (keyof typeof JOB_STATES)[]));
const reason = fc.constantFrom(...(Object.keys(JOB_REASONS) as (keyof typeof JOB_REASONS)[]));

const spec = fc
  .record({
    arguments: fc.array(text, { maxLength: 3 }),
    env: fc.dictionary(fc.stringMatching(/^[A-Z]{1,8}$/), text, { maxKeys: 3 }),
    name: fc.constantFrom(undefined, 'web'),
    memory: fc.constantFrom(undefined, '64m'),
  })
  .map(({ memory, name, env, ...more }) => ({
    ...jobSpecSchema.parse({ image: 'test', resources: memory === undefined ? {} : { memory } }),
    ...more,
    // The generator's dictionaries have no prototype; those of JSON have.
    env: { ...env },
    ...(name === undefined ? {} : { name }),
  }));

const job = fc.record({
  id: fc.uuid(),
  owner: text,
  epoch: count,
  seq: count,
  spec,
  caller: text,
  idempotencyKey: optional(text),
  state,
  desire: fc.constantFrom('run', 'stop', 'cancel'),
  attempt: count,
  restarts: count,
  instance: optional(fc.record({ id: text, startedAtMs: count, address: text })),
  outcome: optional(fc.record({ reason, message: text, exitCode: count, retryable: fc.boolean() })),
  createdAtMs: count,
  updatedAtMs: count,
  runningAtMs: optional(count),
  finishedAtMs: optional(count),
  notBeforeMs: optional(count),
  stopGraceMs: optional(count),
}) as unknown as fc.Arbitrary<Job>;

function rowOf(made: Job, expiresAt: number | null = null): JobRow {
  const row = {
    id: made.id,
    owner: made.owner,
    epoch: made.epoch,
    seq: made.seq,
    state: made.state,
    name: made.spec.name ?? null,
    created_at: made.createdAtMs,
    expires_at: expiresAt,
    spec_hash: 'hash',
    spec: encodeSpec(made.spec, box, made.id),
    body: encodeBody(made),
  };
  return { ...row, checksum: jobChecksum(row) };
}

const sample = (): Job => fc.sample(job, { numRuns: 1, seed: 1 })[0] as Job;
const corrupt = expect.objectContaining({ code: 'store_corrupt' }) as Error;

describe('a row', () => {
  it('gives back the job it was made of, whatever is in it', () => {
    fc.assert(
      fc.property(job, (made) => {
        expect(decodeJob(rowOf(made), source)).toEqual(made);
      }),
    );
  });

  it('gives back the event it was made of', () => {
    const event = fc.record({
      epoch: count,
      seq: count,
      jobId: fc.uuid(),
      atMs: count,
      type: state,
      attempt: count,
      reason: optional(reason),
      message: optional(text),
      exitCode: optional(count),
    }) as unknown as fc.Arbitrary<JobEvent>;
    fc.assert(
      fc.property(event, (made) => {
        const row = { seq: made.seq, epoch: made.epoch, job: made.jobId, body: encodeEventBody(made) };
        expect(decodeEvent({ ...row, checksum: eventChecksum(row) }, source)).toEqual(made);
      }),
    );
  });

  it('gives back the tombstone it was made of, and notices a change of any column', () => {
    const columns = {
      id: 'a',
      epoch: 1,
      seq: 2,
      state: 'failed',
      spec_hash: 'h',
      removed_at: 3,
    } as const;
    const row = { ...columns, checksum: tombstoneChecksum(columns) };
    expect(decodeTombstone(row, source)).toEqual({
      id: 'a',
      epoch: 1,
      seq: 2,
      state: 'failed',
      specHash: 'h',
      removedAtMs: 3,
    });
    for (const [column, value] of Object.entries(row)) {
      const changed = typeof value === 'number' ? value + 1 : `${value}x`;
      expect(() => decodeTombstone({ ...row, [column]: changed }, source), column).toThrow(corrupt);
    }
  });

  it('that changed in any column is refused, with the file and the job', () => {
    const made = rowOf(sample(), 7);
    for (const [column, value] of Object.entries(made) as [keyof JobRow, JobRow[keyof JobRow]][]) {
      const changed = typeof value === 'number' ? value + 1 : `${value}x`;
      expect(() => decodeJob({ ...made, [column]: changed }, source), column).toThrow(corrupt);
    }
    expect(() => decodeJob({ ...made, seq: made.seq + 1 }, source)).toThrow(
      `/data/jobs.db is damaged: the checksum of job ${made.id} is wrong; restore a backup, or move /data/jobs.* away`,
    );
  });

  it('tells nothing from an empty text, and neighbours from each other', () => {
    const made = rowOf(sample());
    const checksum = (columns: Partial<JobRow>): number => jobChecksum({ ...made, ...columns });
    expect(checksum({ name: '' })).not.toBe(checksum({ name: null }));
    expect(checksum({ owner: 'a\n1', epoch: 2 })).not.toBe(checksum({ owner: 'a', epoch: 1 }));
  });

  it('does not show the environment, and opens it only with its own key and id', () => {
    const spec = jobSpecSchema.parse({ image: 'test', env: { TOKEN: 'hunter2-hunter2' } });
    const made: Job = { ...sample(), spec };
    const row = rowOf(made);
    expect(JSON.stringify(row)).not.toContain('hunter2');
    expect(JSON.stringify(row)).not.toContain('TOKEN');
    const otherBox = { ...source, box: new SecretBox(Buffer.alloc(32, 2)) };
    expect(() => decodeJob(row, otherBox)).toThrow(
      expect.objectContaining({ code: 'store_foreign', message: expect.stringContaining('identity.key') }),
    );
    const moved = { ...row, id: `${row.id.slice(0, -1)}x` };
    expect(() => decodeJob({ ...moved, checksum: jobChecksum(moved) }, source)).toThrow(
      expect.objectContaining({ code: 'store_foreign' }),
    );
  });

  it('of a newer version is refused by name', () => {
    const row = rowOf(sample());
    const newer = { ...row, spec: row.spec.replace('"v":1', '"v":2') };
    expect(() => decodeJob({ ...newer, checksum: jobChecksum(newer) }, source)).toThrow(
      expect.objectContaining({ code: 'store_foreign', message: expect.stringContaining('upgrade') }),
    );
  });
});
