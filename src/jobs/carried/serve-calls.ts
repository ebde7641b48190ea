import type { NodeId } from '../../kernel/ids.ts';
import type { OwnJobs } from '../jobs.ts';
import { encodeRecord } from '../record.ts';
import { encodeEvent, encodeLogChunk, encodeSnapshot, encodeStats } from './replies.ts';
import { decodeRequest, type CarriedRequest } from './requests.ts';

type Pieces = AsyncIterable<Uint8Array>;

type Answers = {
  readonly [Call in CarriedRequest['call']]: (
    request: Extract<CarriedRequest, { call: Call }>,
    jobs: OwnJobs,
    signal: AbortSignal,
  ) => Pieces;
};

const ANSWERS: Answers = {
  async *get({ job }, jobs) {
    yield* encodeSnapshot(jobs.get(job));
  },
  async *locate({ job }, jobs) {
    yield encodeRecord(jobs.get(job).job);
  },
  async *history({ job }, jobs) {
    for (const event of jobs.history(job)) yield encodeEvent(event);
  },
  async *stats({ job }, jobs, signal) {
    for (const { stats } of await jobs.stats(job, signal)) yield encodeStats(stats);
  },
  async *wait({ job, until, timeout_ms: timeoutMs }, jobs, signal) {
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    yield* encodeSnapshot(await jobs.wait(job, { until, signal, ...limit }));
  },
  async *cancel({ job }, jobs, signal) {
    yield* encodeSnapshot(await jobs.cancel(job, { signal }));
  },
  async *stop({ job, grace_ms: graceMs }, jobs) {
    yield* encodeSnapshot(await jobs.stop(job, graceMs === undefined ? {} : { graceMs }));
  },
  async *remove({ job, force }, jobs, signal) {
    await jobs.remove(job, { force, signal });
  },
  async *logs({ job, since_ms: sinceMs, follow, tail, timestamps }, jobs, signal) {
    const chunks = jobs.logs(job, {
      signal,
      ...(follow !== undefined && { follow }),
      ...(sinceMs !== undefined && { sinceMs }),
      ...(tail !== undefined && { tail }),
      ...(timestamps !== undefined && { timestamps }),
    });
    for await (const chunk of chunks) yield* encodeLogChunk(chunk);
  },
};

/**
 * Does to this node's own jobs what other nodes ask, and never asks any other node itself. Fails as the jobs do; the peers
 * have checked that who asks is a member, and that node whether its client may.
 */
export function carriedCallHandler(
  jobs: OwnJobs,
): (request: Uint8Array, from: NodeId, signal: AbortSignal) => Pieces {
  return async function* (bytes, _from, signal) {
    const request = decodeRequest(bytes);
    const answer = ANSWERS[request.call] as (
      request: CarriedRequest,
      jobs: OwnJobs,
      signal: AbortSignal,
    ) => Pieces;
    yield* answer(request, jobs, signal);
  };
}
