import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import {
  listJobs,
  type Member,
  type Recovery,
  untilEqual,
  untilRecovered,
} from '../../support/cluster-processes.ts';
import { create } from '../../support/fake-engine-cluster.ts';
import { boundMs } from '../../support/figure.ts';
import { RpcFailure } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';

/** As is promised of what is told while somebody misbehaves, ms. */
export const TOLD_WITHIN_MS = 2_000;
/** All tell the same so soon after the first that were cut off are connected again, ms. */
const EQUAL_AFTER_CONNECTION_MS = 2_000;
/** And so soon after the fault has ended, whatever happens, ms. */
export const EQUAL_AT_WORST_MS = 30_000;
const SETTLED_WITHIN_MS = 60_000;
/** `utime` and `stime` of `/proc/PID/stat` are counted in this, ms. */
const TICK_MS = 10;
const KIB = 1024;

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

/** What a fault has stopped goes on, soon enough. Prints how long it took. */
export async function expectRecovery(what: string, members: readonly Member[]): Promise<void> {
  const recovery = await untilRecovered(members, EQUAL_AT_WORST_MS);
  printRecovery(what, recovery);
  const { equalMs, firstConnectedMs = 0 } = recovery;
  expect(equalMs - firstConnectedMs).toBeLessThan(boundMs(EQUAL_AFTER_CONNECTION_MS));
}

export function printRecovery(what: string, recovery: Recovery): void {
  const { firstConnectedMs, connectedMs, equalMs, allEqualMs } = recovery;
  const [all, equal, allEqual] = [connectedMs, equalMs, allEqualMs].map(Math.round);
  const first =
    firstConnectedMs === undefined ? 'none was parted' : `after ${Math.round(firstConnectedMs)} ms`;
  const looked = `equal after ${equal} ms, every job compared after ${allEqual} ms`;
  console.log(`${what}: first connected: ${first}, all after ${all} ms, ${looked}`);
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
