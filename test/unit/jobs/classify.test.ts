import { describe, expect, it } from 'vitest';
import type { InstanceId, NodeId } from '../../../src/kernel/ids.ts';
import { newJobId } from '../../../src/kernel/ids.ts';
import { classify, type Verdict } from '../../../src/jobs/classify.ts';
import { labelsOf } from '../../../src/jobs/instance-labels.ts';
import { JOB_STATES, type Job, type JobState } from '../../../src/jobs/job.ts';
import type { InstanceState, InstanceSummary } from '../../../src/runtime/driver.ts';

const job = newJobId(0);

function container(state: InstanceState, attempt = 2): InstanceSummary {
  const labels = labelsOf({ cluster: 'c', owner: 'n' as NodeId, job, attempt, spec: 's' });
  return { id: 'i' as InstanceId, name: 'cm', labels, state, createdAtMs: 0 };
}

const inState = (state: JobState) => ({ id: job, state, attempt: 2 }) as Job;

describe('what is done about a container of ours', () => {
  const table: Record<JobState, Record<InstanceState, Verdict>> = {
    pending: { created: 'leave', running: 'leave', paused: 'leave', exited: 'leave' },
    pulling: { created: 'leave', running: 'leave', paused: 'leave', exited: 'leave' },
    starting: { created: 'leave', running: 'leave', paused: 'leave', exited: 'leave' },
    running: { created: 'observe', running: 'leave', paused: 'leave', exited: 'observe' },
    stopping: { created: 'observe', running: 'stop', paused: 'stop', exited: 'observe' },
    complete: { created: 'leave', running: 'reap', paused: 'reap', exited: 'leave' },
    failed: { created: 'leave', running: 'reap', paused: 'reap', exited: 'leave' },
    cancelled: { created: 'reap', running: 'reap', paused: 'reap', exited: 'reap' },
  };
  for (const state of Object.keys(JOB_STATES) as JobState[]) {
    it.each(Object.entries(table[state]))(`whose job is ${state}: %s -> %s`, (instanceState, verdict) => {
      expect(classify(container(instanceState as InstanceState), inState(state), false)).toBe(verdict);
    });
  }

  it.each([
    ['created', 'reap'],
    ['running', 'import'],
    ['paused', 'import'],
    ['exited', 'import'],
  ] as const)('that is %s and has no job: %s', (state, verdict) => {
    expect(classify(container(state), undefined, false)).toBe(verdict);
  });

  it('whose job was removed is a leftover, and so is one of an older attempt', () => {
    expect(classify(container('running'), undefined, true)).toBe('reap');
    expect(classify(container('exited', 1), inState('starting'), false)).toBe('reap');
  });

  it('without a whole mark is left alone', () => {
    const { 'container-manager.spec': _spec, ...labels } = container('created').labels as Record<
      string,
      string
    >;
    expect(classify({ ...container('created'), labels }, undefined, false)).toBe('leave');
    const bad = { ...container('created').labels, 'container-manager.job': '../x' };
    expect(classify({ ...container('created'), labels: bad }, undefined, true)).toBe('leave');
  });
});
