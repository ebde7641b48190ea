import { describe, expect, it } from 'vitest';
import type { JobId, NodeId } from '../../../src/kernel/ids.ts';
import { hasEnded, JOB_STATES, type Job, type JobState } from '../../../src/jobs/job.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { advance, canAdvance } from '../../../src/jobs/transitions.ts';

const STATES = Object.keys(JOB_STATES) as JobState[];

function jobIn(state: JobState): Job {
  return {
    id: 'job' as JobId,
    owner: 'node' as NodeId,
    epoch: 1,
    seq: 1,
    spec: jobSpecSchema.parse({ image: 'x' }),
    caller: 'local',
    idempotencyKey: undefined,
    state,
    desire: 'run',
    attempt: 1,
    restarts: 0,
    instance: undefined,
    outcome: undefined,
    createdAtMs: 1,
    updatedAtMs: 1,
    runningAtMs: undefined,
    finishedAtMs: undefined,
    stopGraceMs: undefined,
    notBeforeMs: 5,
  };
}

describe('the state table', () => {
  it('lets nobody leave an ended state', () => {
    for (const from of STATES.filter((state) => hasEnded({ state }))) {
      expect(STATES.filter((to) => canAdvance(from, to))).toEqual([]);
    }
  });

  it('leads from every state to an end', () => {
    for (const from of STATES.filter((state) => !hasEnded({ state }))) {
      expect(STATES.some((to) => canAdvance(from, to) && hasEnded({ state: to }))).toBe(true);
    }
  });

  it('goes back only to pending, and only as a new attempt', () => {
    for (const [place, from] of STATES.entries()) {
      for (const to of STATES.slice(0, place + 1)) {
        if (!canAdvance(from, to)) continue;
        expect(to).toBe('pending');
        expect(() => advance(jobIn(from), to, 9)).toThrow('attempt 1 after 1 in pending');
        expect(advance(jobIn(from), to, 9, { attempt: 2 })).toMatchObject({ state: 'pending', attempt: 2 });
      }
    }
  });

  it('refuses every other change, and a new attempt in the middle of one', () => {
    expect(() => advance(jobIn('pending'), 'running', 9)).toThrow('a job cannot go from pending to running');
    expect(() => advance(jobIn('starting'), 'running', 9, { attempt: 2 })).toThrow('attempt 2 after 1');
  });

  it('stamps the time of the change, of running and of the end, and forgets when to go on', () => {
    expect(advance(jobIn('starting'), 'running', 9)).toMatchObject({
      updatedAtMs: 9,
      runningAtMs: 9,
      notBeforeMs: undefined,
    });
    expect(advance(jobIn('running'), 'complete', 9)).toMatchObject({ finishedAtMs: 9 });
    expect(advance(jobIn('running'), 'stopping', 9).finishedAtMs).toBeUndefined();
  });
});
