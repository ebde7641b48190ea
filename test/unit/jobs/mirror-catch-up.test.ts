import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../src/jobs/record.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';
import { JobCluster } from '../../support/job-cluster.ts';
import { PATIENCE } from '../../support/patience.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';
import { waitFor } from '../../support/wait-for.ts';

class Held {
  readonly clock = new SteppedClock();
  readonly cluster = new JobCluster(new FakeJobs(), this.clock);
  readonly #listeners = this.cluster.mirror.listeners;

  /** The owner has answered, and the answer is held back: nobody listens to the mirror otherwise. */
  async isHeldBack(): Promise<void> {
    await waitFor(
      'the answer to be held back',
      PATIENCE.timeout,
      () => this.cluster.mirror.listeners > this.#listeners,
    );
    await settle();
    expect(this.cluster.mirror.listeners).toBe(this.#listeners + 1);
  }
}

describe('what an owner has answered', () => {
  it('is passed on once this node has been told of it, and is not taken back', async () => {
    const held = new Held();
    const { cluster } = held;
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'starting');
    cluster.tell(id);
    cluster.far.move(id, 'running');
    const waits = cluster.jobs.wait(id, { until: 'running' });
    await held.isHeldBack();
    cluster.tell(id);
    expect(await waits).toMatchObject({ job: { state: 'running' } });
    expect(cluster.jobs.stateOf(id)).toBe('running');
  });

  it('may be less than what this node was told of meanwhile', async () => {
    const { cluster } = new Held();
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'running');
    const job = decodeRecord(encodeRecord(cluster.far.get(id).job));
    cluster.mirror.put({ ...job, seq: job.seq + 10, state: 'stopping' });
    expect(await cluster.jobs.stop(id)).toMatchObject({ job: { id } });
  });

  it('is passed on after a while although nobody tells of it here', async () => {
    const held = new Held();
    const { cluster } = held;
    const { id } = await cluster.createFar();
    const cancelled = cluster.jobs.cancel(id);
    await held.isHeldBack();
    await held.clock.advance(250);
    expect(await cancelled).toMatchObject({ job: { state: 'cancelled' } });
    expect(cluster.jobs.stateOf(id)).toBe('pending');
    const removed = cluster.jobs.remove(id);
    await held.isHeldBack();
    await held.clock.advance(250);
    await removed;
    expect(cluster.jobs.stateOf(id)).toBe('pending');
  });

  it('is a removal: then the job is not known here any more', async () => {
    const held = new Held();
    const { cluster } = held;
    const { id } = await cluster.createFar();
    cluster.far.move(id, 'complete');
    const job = cluster.tell(id);
    const removed = cluster.jobs.remove(id);
    await held.isHeldBack();
    expect(cluster.far.size).toBe(0);
    cluster.mirror.remove(job);
    await removed;
    await expect(Promise.resolve(cluster.jobs.stateOf(id))).rejects.toMatchObject({ code: 'not_found' });
  });
});
