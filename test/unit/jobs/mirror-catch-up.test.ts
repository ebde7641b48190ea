import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../src/jobs/record.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';
import { JobCluster } from '../../support/job-cluster.ts';
import { settle } from '../../support/stepped-clock.ts';

const IGNORED = Symbol('not answered yet');

/** What has been answered so far. */
async function soFar<T>(answer: Promise<T>): Promise<T | typeof IGNORED> {
  await settle();
  return Promise.race([answer, Promise.resolve(IGNORED)]);
}

describe('what an owner has answered', () => {
  it('is passed on once this node has been told of it, and is not taken back', async () => {
    const cluster = new JobCluster(new FakeJobs());
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'starting');
    cluster.tell(id);
    cluster.far.move(id, 'running');
    const waits = cluster.jobs.wait(id, { until: 'running' });
    expect(await soFar(waits)).toBe(IGNORED);
    cluster.tell(id);
    expect(await waits).toMatchObject({ job: { state: 'running' } });
    expect(cluster.jobs.stateOf(id)).toBe('running');
  });

  it('may be less than what this node was told of meanwhile', async () => {
    const cluster = new JobCluster(new FakeJobs());
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'running');
    const job = decodeRecord(encodeRecord(cluster.far.get(id).job));
    cluster.mirror.put({ ...job, seq: job.seq + 10, state: 'stopping' });
    expect(await cluster.jobs.stop(id)).toMatchObject({ job: { id } });
  });

  it('is passed on although nobody tells of it here', async () => {
    const cluster = new JobCluster(new FakeJobs());
    const { id } = await cluster.createFar();
    expect(await cluster.jobs.cancel(id)).toMatchObject({ job: { state: 'cancelled' } });
    expect(cluster.jobs.stateOf(id)).toBe('pending');
    await cluster.jobs.remove(id);
    expect(cluster.jobs.stateOf(id)).toBe('pending');
  });

  it('is a removal: then the job is not known here any more', async () => {
    const cluster = new JobCluster(new FakeJobs());
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'complete');
    const job = cluster.tell(id);
    const removed = cluster.jobs.remove(id).then(() => 'removed');
    await expect.poll(() => cluster.far.size).toBe(0);
    expect(await soFar(removed)).toBe(IGNORED);
    cluster.mirror.remove(job);
    expect(await removed).toBe('removed');
    await expect(Promise.resolve(cluster.jobs.stateOf(id))).rejects.toMatchObject({ code: 'not_found' });
  });
});
