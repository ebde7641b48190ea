import { describe, expect, it } from 'vitest';
import { CarriedCallError } from '../../../src/jobs/carried/requests.ts';
import {
  decodeEvent,
  decodeStats,
  encodeEvent,
  encodeStats,
  json,
} from '../../../src/jobs/carried/replies.ts';
import { CarriedPlacements } from '../../../src/jobs/placement/carried-placements.ts';
import { encodeAccepted, encodeClaimAnswer } from '../../../src/jobs/placement/placement-replies.ts';
import { encodeRecord } from '../../../src/jobs/record.ts';
import { newJobId } from '../../../src/kernel/ids.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';

const never = new AbortController().signal;

function answering(pieces: Iterable<Uint8Array>): CarriedPlacements {
  return new CarriedPlacements({
    async *call() {
      await Promise.resolve();
      yield* pieces;
    },
  });
}

describe('what a node answers that is to take a job', () => {
  it('cannot be read when it is about another job, or of another node', async () => {
    const far = new FakeJobs();
    const spec = jobSpecSchema.parse({ image: 'x' });
    const { job } = await far.create(spec, 'local');
    const request = { spec, caller: 'local', idempotencyKey: 'k' };
    const claim = { id: job.id, nonce: 'n', fingerprint: 'f', waits: false };
    const other = newJobId(0);
    for (const [told, isRight] of [
      [job, true],
      [{ ...job, id: other }, false],
      [{ ...job, owner: 'Z' as typeof far.owner }, false],
    ] as const) {
      const accepted = answering(encodeAccepted({ job: told, deduplicated: false }));
      const ended = answering([encodeRecord(told)]);
      const known = answering(encodeClaimAnswer({ kind: 'known', job: told, isSame: true }));
      for (const answer of [
        accepted.accept(far.owner, job.id, request, never),
        ended.end(far.owner, job.id, { removes: false }, never),
        known.claim(far.owner, claim, never),
      ]) {
        if (isRight) await answer;
        else await expect(answer).rejects.toBeInstanceOf(CarriedCallError);
      }
    }
  });
});

describe('a piece of an answer', () => {
  it('tells what happened in a sentence that has a bound', async () => {
    const far = new FakeJobs();
    const { job } = await far.create(jobSpecSchema.parse({ image: 'x' }), 'local');
    const [event] = far.history(job.id);
    const long = { ...event!, message: 'x'.repeat(100_000) };
    expect(decodeEvent(encodeEvent(long), job.id).message).toBe(`${'x'.repeat(4_095)}…`);
    const { jobId: _jobId, atMs, exitCode: _exitCode, ...rest } = long;
    expect(() => decodeEvent(json({ ...rest, at: atMs }), job.id)).toThrow(CarriedCallError);
  });

  it('tells what a container uses in words of its own', () => {
    const sample = {
      cpus: 0.5,
      memoryBytes: 1,
      memoryLimitBytes: 2,
      networkReceivedBytes: 3,
      networkSentBytes: 4,
      blockReadBytes: 5,
      blockWrittenBytes: 6,
      pids: 7,
    };
    expect(decodeStats(encodeStats(sample))).toEqual(sample);
    expect(JSON.parse(Buffer.from(encodeStats(sample)).toString())).toEqual({
      cpus: 0.5,
      memory: 1,
      memory_limit: 2,
      network_received: 3,
      network_sent: 4,
      block_read: 5,
      block_written: 6,
      pids: 7,
    });
  });
});
