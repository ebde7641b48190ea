import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Job } from '../../../src/jobs/job.ts';
import type { JobId } from '../../../src/kernel/ids.ts';
import { fakeEngine, JobHarness } from '../../support/job-harness.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { integrityOf } from './support/open-store.ts';

const MIB = 1024 ** 2;
/** The reserve takes 4 MiB of it, the write-ahead log up to 4 more. */
const DISK_BYTES = 12 * MIB;
/** A checkpoint is due once the log is 16 MiB; what it writes back takes as much again. */
const CHECKPOINT_DISK_BYTES = 64 * MIB;
/** How soon a Create must be accepted once there is space, ms. */
const RECOVERY_MS = 5_000;
const BIG_ARGUMENTS = Array.from({ length: 8 }, () => 'x'.repeat(30_000));

const bySeq = (job: Job): readonly [JobId, number] => [job.id, job.seq];

/** Resolves with how long it took until a Create was accepted, in ms. */
async function msUntilAccepted(harness: JobHarness): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    try {
      await harness.create();
      return performance.now() - startedMs;
    } catch (error) {
      expect(error).toMatchObject({ code: 'store_full' });
      if (performance.now() - startedMs > RECOVERY_MS) throw error;
      await delay(20);
    }
  }
}

async function expectRefused(harness: JobHarness): Promise<void> {
  await expect(harness.create()).rejects.toMatchObject({
    code: 'store_full',
    retryable: true,
    retryAfterMs: 5_000,
  });
}

/** The jobs that were still accepted. */
async function createUntilRefused(harness: JobHarness): Promise<Job[]> {
  const accepted: Job[] = [];
  for (;;) {
    try {
      accepted.push(await harness.create({ arguments: BIG_ARGUMENTS }));
    } catch (error) {
      expect(error).toMatchObject({ code: 'store_full' });
      return accepted;
    }
  }
}

/** Running jobs, and a disk that may then be filled. */
async function startWithJobs(disk: SmallDisk, count = 3): Promise<{ harness: JobHarness; jobs: Job[] }> {
  const harness = await JobHarness.start({ directory: disk.mountPoint });
  const created = await Promise.all(Array.from({ length: count }, () => harness.create()));
  const jobs = await Promise.all(created.map((job) => harness.reach(job.id, 'running')));
  return { harness, jobs };
}

/** Frees the disk, sees a Create accepted, and reads everything again from the start. */
async function recover(disk: SmallDisk, harness: JobHarness, known: readonly Job[]): Promise<JobHarness> {
  disk.free();
  const tookMs = await msUntilAccepted(harness);
  expect(tookMs).toBeLessThan(RECOVERY_MS);
  const before = known.map((job) => harness.log.require(job.id));
  const restarted = await harness.restart();
  const after = before.map((job) => restarted.log.require(job.id));
  expect(after.map(bySeq)).toEqual(before.map(bySeq));
  return restarted;
}

async function finish(harness: JobHarness, disk: SmallDisk): Promise<void> {
  await harness[Symbol.asyncDispose]();
  expect(integrityOf(disk.mountPoint)).toBe('ok');
}

describe('a disk that is full to the last byte', () => {
  it('while nothing happens: only what is new is refused, and only as long', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    disk.fill();
    for (let attempt = 0; attempt < 20; attempt += 1) await expectRefused(harness);
    expect(jobs.map((job) => harness.log.require(job.id).state)).toEqual(jobs.map(() => 'running'));
    await finish(await recover(disk, harness, jobs), disk);
  });

  it('while many Creates are on their way: each is kept or refused', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    const creates = Array.from({ length: 50 }, () => harness.create({ arguments: BIG_ARGUMENTS }));
    disk.fill();
    const settled = await Promise.allSettled(creates);
    const accepted = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const codes = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    for (const reason of codes) expect(reason).toMatchObject({ code: 'store_full' });
    expect(codes.length).toBeGreaterThan(0);
    await finish(await recover(disk, harness, [...jobs, ...accepted]), disk);
  });

  it('when running jobs end: their ends are recorded, out of the reserve', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    disk.fill();
    for (const [exitCode, job] of jobs.entries()) harness.fake.exit(harness.instanceId(job.id), exitCode);
    const ended = await Promise.all(
      jobs.map((job, exitCode) => harness.reach(job.id, exitCode === 0 ? 'complete' : 'failed')),
    );
    expect(ended.map((job) => job.outcome?.exitCode)).toEqual([0, 1, 2]);
    // On disk, not only in memory: a reader of its own sees it, as the next start would.
    expect(harness.store.job(jobs[0]?.id as JobId)?.state).toBe('complete');
    expect(existsSync(join(disk.mountPoint, 'reserve'))).toBe(false);
    await expectRefused(harness);
    expect(harness.store.hasSpace).toBe(false);
    await finish(await recover(disk, harness, jobs), disk);
  });

  it('when jobs are stopped and removed on request: that is recorded too', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    const [stopped, removed, kept] = jobs as [Job, Job, Job];
    disk.fill();
    await harness.jobs.stop(stopped.id);
    await harness.reach(stopped.id, 'complete');
    await harness.jobs.remove(removed.id, { force: true });
    expect(harness.store.tombstone(removed.id)).toMatchObject({ id: removed.id });
    const restarted = await recover(disk, harness, [stopped, kept]);
    expect(restarted.log.get(removed.id)).toBeUndefined();
    expect(restarted.store.tombstone(removed.id)).toMatchObject({ id: removed.id });
    await finish(restarted, disk);
  });

  it('at the start: jobs are adopted, and their ends recorded', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const driver = fakeEngine();
    const first = await JobHarness.start({ directory: disk.mountPoint, driver });
    const jobs = [await first.create(), await first.create()] as const;
    for (const job of jobs) await first.reach(job.id, 'running');
    const instanceId = first.instanceId(jobs[0].id);
    await first[Symbol.asyncDispose]();
    driver.exit(instanceId, 3);
    disk.fill();
    const second = await JobHarness.start({ directory: disk.mountPoint, driver });
    expect(await second.reach(jobs[0].id, 'failed')).toMatchObject({ outcome: { exitCode: 3 } });
    expect(second.log.require(jobs[1].id).state).toBe('running');
    expect(driver.calls.create).toBe(2);
    await expectRefused(second);
    await finish(await recover(disk, second, jobs), disk);
  });

  it('at the very first start: it is refused by name, and works once there is space', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    disk.fill();
    expect(() => new JobHarness({ directory: disk.mountPoint })).toThrow(
      expect.objectContaining({ code: 'store_full' }),
    );
    disk.free();
    const harness = await JobHarness.start({ directory: disk.mountPoint });
    expect(await msUntilAccepted(harness)).toBeLessThan(RECOVERY_MS);
    await finish(harness, disk);
  });

  it('during a checkpoint: it is put off, and nothing is lost', async () => {
    using disk = new SmallDisk(CHECKPOINT_DISK_BYTES);
    const harness = await JobHarness.start({ directory: disk.mountPoint, options: { queueSize: 1_000 } });
    harness.jobs.pause();
    const jobs = await Promise.all(
      Array.from({ length: 80 }, () => harness.create({ arguments: BIG_ARGUMENTS })),
    );
    const log = join(disk.mountPoint, 'jobs.db-wal');
    expect(statSync(log).size).toBeGreaterThan(16 * MIB);
    disk.fill();
    // The log has room inside it; the checkpoints that come due have nowhere to write to.
    const accepted = await createUntilRefused(harness);
    expect(accepted.length).toBeGreaterThan(16);
    await harness.store.compact(0);
    expect(statSync(log).size).toBeGreaterThan(16 * MIB);
    disk.free();
    expect(await msUntilAccepted(harness)).toBeLessThan(RECOVERY_MS);
    await harness.store.compact(0);
    expect(statSync(log).size).toBeLessThan(16 * MIB);
    await finish(await recover(disk, harness, [...jobs, ...accepted]), disk);
  });

  it('beyond the reserve: what happens waits, and is recorded when there is space', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    const [job] = jobs as [Job];
    disk.fill();
    await harness.log.change(job.id, () => ({ note: 'takes the reserve' }));
    disk.fill();
    let isRecorded = false;
    const change = harness.log
      .change(job.id, () => ({ note: 'waits' }))
      .then((changed) => {
        isRecorded = true;
        return changed;
      });
    // Several rounds of trying again go by.
    await delay(800);
    if (isRecorded) throw new Error('there was space left: this shows nothing');
    await expectRefused(harness);
    disk.free();
    const changed = await change;
    expect(harness.store.job(job.id)?.seq).toBe(changed.seq);
    await finish(await recover(disk, harness, jobs), disk);
  });

  it('with Creates and ends in one commit: the ends are recorded, the Creates refused', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    disk.fill();
    const outcomes = await Promise.allSettled([
      harness.create({ arguments: BIG_ARGUMENTS }),
      ...jobs.map((job) => harness.log.change(job.id, () => ({ note: 'happened' }))),
      harness.create({ arguments: BIG_ARGUMENTS }),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'rejected',
      ...jobs.map(() => 'fulfilled'),
      'rejected',
    ]);
    expect(outcomes[0]).toMatchObject({ reason: { code: 'store_full' } });
    await finish(await recover(disk, harness, jobs), disk);
  });

  it('at the end: the node stops cleanly, and the next start knows everything', async () => {
    using disk = new SmallDisk(DISK_BYTES);
    const { harness, jobs } = await startWithJobs(disk);
    disk.fill();
    const before = jobs.map((job) => harness.log.require(job.id));
    const restarted = await harness.restart();
    expect(jobs.map((job) => bySeq(restarted.log.require(job.id)))).toEqual(before.map(bySeq));
    await expectRefused(restarted);
    await finish(await recover(disk, restarted, jobs), disk);
  });
});
