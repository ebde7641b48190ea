import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newJobId, type NodeId } from '../../../src/kernel/ids.ts';
import { instanceName } from '../../../src/jobs/instance-name.ts';
import { labelsOf, type InstanceMark } from '../../../src/jobs/instance-labels.ts';
import type { InstancePlan } from '../../../src/runtime/driver.ts';
import { fakeEngine, JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

function strayPlan(mark: Partial<InstanceMark> = {}, more: Partial<InstancePlan> = {}): InstancePlan {
  const job = mark.job ?? newJobId(Date.now());
  const whole = {
    cluster: 'test-cluster',
    owner: '12D3KooWTest' as NodeId,
    job,
    attempt: 1,
    spec: 'x',
    ...mark,
  };
  return {
    name: instanceName(job),
    image: TEST_IMAGE,
    entrypoint: undefined,
    arguments: [],
    env: {},
    labels: labelsOf(whole),
    workingDir: undefined,
    user: undefined,
    hasCapabilities: true,
    files: 'writable',
    network: 'container-manager',
    ports: [],
    memoryBytes: 1,
    cpus: 1,
    pids: 1,
    stopSignal: undefined,
    healthcheck: undefined,
    ...more,
  };
}

describe('reconcile', () => {
  it('imports a running container whose job the store does not know, and follows it', async () => {
    const driver = fakeEngine();
    const plan = strayPlan();
    const id = await driver.create(plan);
    await driver.start(id);
    await using harness = await JobHarness.start({ driver });
    const [job] = [...harness.log.live()];
    expect(job).toMatchObject({ state: 'running', caller: 'import', instance: { id } });
    driver.exit(id, 0);
    await harness.reach(job!.id, 'complete');
    expect(driver.instances.size).toBe(1);
  });

  it('reaps what was created and never started, after its grace', async () => {
    const driver = fakeEngine();
    await driver.create(strayPlan());
    await using harness = await JobHarness.start({ driver });
    expect(driver.instances.size).toBe(1);
    await expect.poll(() => driver.instances.size, PATIENCE).toBe(0);
    expect([...harness.log.live()]).toEqual([]);
  });

  it('leaves a container of another node alone', async () => {
    const driver = fakeEngine();
    const id = await driver.create(strayPlan({ owner: '12D3KooWOther' as NodeId }));
    await driver.start(id);
    await using harness = await JobHarness.start({
      driver,
      options: { reapGraceMs: 0, reconcileIntervalMs: 10 },
    });
    const lists = driver.calls.list;
    await expect.poll(() => driver.calls.list, PATIENCE).toBeGreaterThan(lists + 3);
    expect(driver.instances.get(id)?.state).toBe('running');
    expect([...harness.log.live()]).toEqual([]);
  });

  it('keeps its containers when it becomes a member of another cluster', async () => {
    const first = await JobHarness.start({ cluster: 'old' });
    const job = await first.create();
    await first.reach(job.id, 'running');
    const instance = first.instanceId(job.id);
    await using second = await first.restart({ cluster: 'new', options: { reapGraceMs: 0 } });
    using _directory = { [Symbol.dispose]: () => rmSync(first.directory, { recursive: true, force: true }) };
    expect(second.log.require(job.id)).toMatchObject({ state: 'running', instance: { id: instance } });
    second.fake.exit(instance, 0);
    await second.reach(job.id, 'complete');
    await second.jobs.remove(job.id);
    expect(second.fake.instances.size).toBe(0);
    expect(second.fake.calls.create).toBe(1);
  });

  it('takes the container that it made as a member of another cluster for its own', async () => {
    const driver = fakeEngine();
    await using harness = await JobHarness.start({ driver, cluster: 'new' });
    harness.jobs.pause();
    const job = await harness.create();
    const id = await driver.create(strayPlan({ job: job.id, cluster: 'old' }));
    harness.jobs.resume();
    await harness.reach(job.id, 'running');
    expect(harness.instanceId(job.id)).toBe(id);
    expect(driver.instances.size).toBe(1);
  });

  it('fails a job whose name somebody else has taken, with the remedy', async () => {
    const driver = fakeEngine();
    await using harness = await JobHarness.start({ driver });
    harness.jobs.pause();
    const job = await harness.create();
    await driver.create(strayPlan({ job: job.id, owner: '12D3KooWOther' as NodeId }));
    harness.jobs.resume();
    const failed = await harness.reach(job.id, 'failed');
    expect(failed.outcome).toMatchObject({ reason: 'name_conflict' });
    expect(failed.outcome?.message).toContain(`docker rm -f cm-${job.id}`);
    expect(driver.instances.size).toBe(1);
  });

  it('replaces the container of an older attempt', async () => {
    const driver = fakeEngine();
    await using harness = await JobHarness.start({ driver });
    harness.jobs.pause();
    const job = await harness.create({ retry: { attempts: 2, backoff: 0 } });
    const stale = await driver.create(strayPlan({ job: job.id, attempt: 1 }));
    await harness.log.change(job.id, () => ({ to: 'starting' }));
    await harness.log.change(job.id, (now) => ({ to: 'pending', patch: { attempt: now.attempt + 1 } }));
    harness.jobs.resume();
    await harness.reach(job.id, 'running');
    expect(driver.instances.has(stale)).toBe(false);
    expect(driver.instances.size).toBe(1);
  });

  it('says that a container was removed by somebody else', async () => {
    await using harness = await JobHarness.start();
    const job = await harness.create();
    await harness.reach(job.id, 'running');
    await harness.fake.remove(harness.instanceId(job.id));
    expect((await harness.reach(job.id, 'failed')).outcome?.reason).toBe('container_lost');
  });

  it('after the loss of the store runs no job twice and loses no container', async () => {
    await using first = await JobHarness.start();
    const jobs = await Promise.all(Array.from({ length: 5 }, () => first.create()));
    for (const job of jobs) await first.reach(job.id, 'running');
    await first.jobs.close();
    first.store[Symbol.dispose]();
    for (const file of ['jobs.db', 'jobs.watermark']) rmSync(join(first.directory, file));
    await using second = await JobHarness.start({ driver: first.driver, directory: first.directory });
    expect([...second.log.live()].map((job) => job.id).sort()).toEqual(jobs.map((job) => job.id).sort());
    expect(second.fake.calls.create).toBe(jobs.length);
  });
});
