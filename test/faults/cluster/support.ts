import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import {
  listJobs,
  type Member,
  type MemberOptions,
  ProcessCluster,
  untilEqual,
} from '../../support/cluster-processes.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { RpcFailure } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineServer } from '../../support/engine-server.ts';

export const SHORT_JOB = { image: 'test', arguments: ['wait', '20', 'exit', '0'] } satisfies CreateParams;
export const LONG_JOB = { image: 'test' } satisfies CreateParams;

/** As RELIABILITY demands of what is told while somebody misbehaves, ms. */
export const TOLD_WITHIN_MS = 2_000;
const SETTLED_WITHIN_MS = 60_000;
/** `utime` and `stime` of `/proc/PID/stat` are counted in this, ms. */
const TICK_MS = 10;
const KIB = 1024;

/** One for all tests of a file. */
let bundle: Promise<DaemonBundle> | undefined;
afterAll(async () => (await bundle)?.[Symbol.dispose]());

/** A cluster whose engine is served by the test itself, which so sees every container of every node. */
export class FakeEngineCluster implements AsyncDisposable {
  readonly driver: FakeDriver;
  readonly cluster: ProcessCluster;
  readonly #parts: AsyncDisposableStack;

  private constructor(driver: FakeDriver, cluster: ProcessCluster, parts: AsyncDisposableStack) {
    this.driver = driver;
    this.cluster = cluster;
    this.#parts = parts;
  }

  static async make(): Promise<FakeEngineCluster> {
    await using parts = new AsyncDisposableStack();
    bundle ??= DaemonBundle.make();
    const { program } = await bundle;
    const driver = new FakeDriver({ latencyMs: 2 });
    driver.addImage('test');
    const engine = parts.use(await EngineServer.start(driver));
    const settings = { queue_size: 10_000, worker_count: 4, reconcile_interval: '2s', reap_grace: '1s' };
    const cluster = parts.use(
      new ProcessCluster({ program, env: { CM_TEST_ENGINE: engine.socketPath }, settings }),
    );
    return new FakeEngineCluster(driver, cluster, parts.move());
  }

  start(count: number, options?: MemberOptions): Promise<Member[]> {
    return this.cluster.start(count, options);
  }

  /** Jobs that have more than one container, each with how many. */
  duplicates(): string[] {
    const counts = new Map<string, number>();
    for (const { labels } of this.driver.instances.values()) {
      const job = labels['container-manager.job'] ?? 'none';
      counts.set(job, (counts.get(job) ?? 0) + 1);
    }
    return [...counts].filter(([, count]) => count > 1).map(([job, count]) => `${job}: ${count}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

export async function create(member: Member, params: CreateParams = SHORT_JOB): Promise<string> {
  return (await member.rpc('ContainerService.Create', { ...params })).job_id;
}

/** How long a job that is made on the one takes until the other has heard of it, ms. It is not asked for. */
export async function timeToTell(from: Member, to: Member, limitMs = TOLD_WITHIN_MS * 5): Promise<number> {
  const startedMs = performance.now();
  const job_id = await create(from);
  await waitFor(`job ${job_id} to be told of`, limitMs, async () => {
    const { jobs } = await to.rpc('JobService.List', { all_nodes: true, id_prefix: job_id });
    return jobs.length === 1;
  });
  return performance.now() - startedMs;
}

/** Ends what runs until nothing does, and waits until all tell the same. */
export async function untilSettled(members: readonly Member[]): Promise<void> {
  await waitFor('all jobs to end', SETTLED_WITHIN_MS, async () => {
    await Promise.all(members.map(endRunning));
    const queues = await Promise.all(members.map((member) => member.rpc('QueueService.Stats', {})));
    return queues.every(
      ({ waiting, delayed, working, running }) => waiting + delayed + working + running === 0,
    );
  });
  await untilEqual(members, SETTLED_WITHIN_MS);
}

async function endRunning(member: Member): Promise<void> {
  for (const { job_id } of await listJobs(member.home.port, { states: ['running'] })) {
    await member.rpc('ContainerService.Stop', { job_id }).catch((error: unknown) => {
      // It has ended by itself meanwhile.
      if (!(error instanceof RpcFailure)) throw error;
    });
  }
}

/** All that a node tells of all jobs, but for what changes as time goes by. */
export async function stateOf(member: Member): Promise<unknown[]> {
  const jobs = await listJobs(member.home.port, { all_nodes: true });
  return jobs
    .map(({ age_ms: _age, lost: _lost, ...job }) => job)
    .sort((a, b) => (a.job_id < b.job_id ? -1 : 1));
}

/** What a process holds in memory now, bytes. */
export function rssBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * KIB;
}

/** The share of one core that a process takes over the next second. */
export async function cpuShare(pid: number): Promise<number> {
  const before = cpuMs(pid);
  const startedMs = performance.now();
  await delay(1_000);
  return (cpuMs(pid) - before) / (performance.now() - startedMs);
}

/** The time of processors that a process has taken so far, ms. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
