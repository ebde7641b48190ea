import type { JobStatus, JobView } from '../../../../src/api/wire.ts';
import { type NodeProcess, RpcFailure } from '../../../support/node-process.ts';
import { waitFor } from '../../../support/wait-for.ts';
import type { Kind, Request } from './workload.ts';

/** What the engine itself tells, behind the node's back. */
export interface EngineOracle {
  /** How often a container of each tag was started. */
  starts(): ReadonlyMap<string, number>;
  containers(): Promise<readonly OracleContainer[]>;
}

export interface OracleContainer {
  readonly jobId: string;
  readonly tag: string;
  readonly isRunning: boolean;
  /** Of one that has ended. */
  readonly exitCode: number | undefined;
}

/** Everything that must be empty, each with the cases found. */
export interface Verdict {
  readonly lost: string[];
  readonly duplicates: string[];
  readonly orphans: string[];
  readonly stuck: string[];
  readonly wrong: string[];
}

export const CLEAN: Verdict = { lost: [], duplicates: [], orphans: [], stuck: [], wrong: [] };

const UNFINISHED: JobStatus[] = ['pending', 'pulling', 'starting', 'running', 'stopping'];
/** As long as anything may take to be right after the last kill. */
const FINAL_WITHIN_MS = 120_000;
const ORPHANS_GONE_WITHIN_MS = 60_000;
/** Restarts of a job that is restarted, as its spec says. */
export const MAX_RESTARTS = 2;

/** Lets everything come to its end, and judges. */
export async function judge(
  node: NodeProcess,
  requests: readonly Request[],
  oracle: EngineOracle,
): Promise<Verdict> {
  const stuck = await untilFinished(node);
  const jobs = new Map((await listJobs(node)).map((job) => [job.job_id, job]));
  const orphans = await untilNoOrphans(oracle, jobs);
  const containers = await oracle.containers();
  return {
    lost: requests.flatMap((request) => lossOf(request, jobs)),
    duplicates: [...duplicateStarts(requests, oracle), ...duplicateJobs(requests, jobs)],
    orphans,
    stuck,
    wrong: [...containers.flatMap((container) => mismatchOf(container, jobs)), ...wrongEnds(requests, jobs)],
  };
}

async function untilFinished(node: NodeProcess): Promise<string[]> {
  let left: JobView[] = [];
  const stopped = new Set<string>();
  const isDone = async (): Promise<boolean> => {
    left = await listJobs(node, UNFINISHED);
    for (const { job_id, status } of left) {
      if (status !== 'running' || stopped.has(job_id)) continue;
      stopped.add(job_id);
      await node.rpc('ContainerService.Stop', { job_id }).catch((error: unknown) => {
        if (!(error instanceof RpcFailure && error.reason === 'invalid_state')) throw error;
      });
    }
    return left.length === 0;
  };
  await waitFor('every job to end', FINAL_WITHIN_MS, isDone).catch(() => undefined);
  return left.map(
    ({ job_id, status, attempt, not_before }) => `${job_id} ${status} ${attempt} ${not_before}`,
  );
}

export async function listJobs(node: NodeProcess, states?: JobStatus[]): Promise<JobView[]> {
  const all: JobView[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await node.rpc('JobService.List', {
      limit: 1000,
      ...(states === undefined ? {} : { states }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    all.push(...page.jobs);
    cursor = page.next_cursor;
    if (cursor === undefined) return all;
  }
}

async function untilNoOrphans(oracle: EngineOracle, jobs: ReadonlyMap<string, JobView>): Promise<string[]> {
  let orphans: string[] = [];
  await waitFor('orphans to go', ORPHANS_GONE_WITHIN_MS, async () => {
    orphans = (await oracle.containers())
      .filter(({ jobId, isRunning }) => {
        const job = jobs.get(jobId);
        return job === undefined || job.status === 'cancelled' || isRunning;
      })
      .map(({ jobId, tag, isRunning }) => `${tag} ${jobId} ${jobs.get(jobId)?.status} running: ${isRunning}`);
    return orphans.length === 0;
  }).catch(() => undefined);
  return orphans;
}

function lossOf(request: Request, jobs: ReadonlyMap<string, JobView>): string[] {
  if (request.isRemoveTried) return [];
  return [...request.jobIds].filter((id) => !jobs.has(id)).map((id) => `${request.tag} ${id}`);
}

export function maxStarts(kind: Kind): number {
  return kind === 'restarts' ? 1 + MAX_RESTARTS : 1;
}

export function duplicateStarts(requests: readonly Request[], oracle: EngineOracle): string[] {
  const starts = oracle.starts();
  return requests
    .filter(({ tag, kind }) => (starts.get(tag) ?? 0) > maxStarts(kind))
    .map(({ tag, kind }) => `${tag} (${kind}) was started ${starts.get(tag)} times`);
}

/** Two jobs for one request: the same tag on both. */
function duplicateJobs(requests: readonly Request[], jobs: ReadonlyMap<string, JobView>): string[] {
  const seen = new Map<string, string>();
  const twice: string[] = requests
    .filter(({ jobIds }) => jobIds.size > 1)
    .map(({ tag }) => `${tag} has two ids`);
  for (const { job_id, labels } of jobs.values()) {
    const tag = labels?.['tag'] ?? '';
    const other = seen.get(tag);
    if (other !== undefined) twice.push(`${tag}: ${other} and ${job_id}`);
    seen.set(tag, job_id);
  }
  return twice;
}

/** A container that has ended must read as its job does. */
function mismatchOf(container: OracleContainer, jobs: ReadonlyMap<string, JobView>): string[] {
  const job = jobs.get(container.jobId);
  if (job === undefined || job.exit_code === undefined || job.exit_code === container.exitCode) return [];
  return [`${container.tag}: the job says ${job.exit_code}, the engine ${container.exitCode}`];
}

/** Whatever was acknowledged holds. */
function wrongEnds(requests: readonly Request[], jobs: ReadonlyMap<string, JobView>): string[] {
  return requests.flatMap((request) => {
    const [id] = request.jobIds;
    const job = id === undefined ? undefined : jobs.get(id);
    const { tag, kind, acknowledged } = request;
    const is = `${tag} (${kind}): ${acknowledged}, and it is ${job?.status} ${job?.reason} ${job?.message}`;
    if (acknowledged === 'stop' && job !== undefined && job.status !== 'complete') return [is];
    if (acknowledged === 'cancel' && job !== undefined && job.status !== 'cancelled') return [is];
    if (acknowledged === 'remove' && job !== undefined) return [is];
    if (acknowledged === 'none' && kind === 'short' && job?.status === 'failed') return [is];
    return [];
  });
}
