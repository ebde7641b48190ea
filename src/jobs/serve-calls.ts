import type { NodeId } from '../kernel/ids.ts';
import type { OwnJobs } from './jobs.ts';
import { encodeEvent, encodeLogChunk, encodeSnapshot, encodeStats } from './carried/replies.ts';
import { CarriedCallError, decodeRequest, isLongCall, type CarriedRequest } from './carried/requests.ts';
import type { PlacementHost } from './placement/host.ts';
import { encodeAccepted, encodeBid, encodeClaimAnswer } from './placement/placement-replies.ts';
import { encodeRecord } from './record.ts';

/** Calls of all other nodes together that may take minutes: there are places left for those that are answered at once. */
export const MAX_LONG_CALLS_SERVED = 192;
/** When one that found no place may come again, ms. */
const BUSY_RETRY_MS = 1_000;

type Pieces = AsyncIterable<Uint8Array>;

type Answers = {
  readonly [Call in CarriedRequest['call']]: (
    request: Extract<CarriedRequest, { call: Call }>,
    served: Served,
    signal: AbortSignal,
  ) => Pieces;
};

/** Who is asked for what, and by whom. */
interface Served {
  readonly jobs: OwnJobs;
  readonly host: PlacementHost;
  readonly from: NodeId;
}

const ANSWERS: Answers = {
  async *get({ job }, { jobs }) {
    yield* encodeSnapshot(jobs.get(job));
  },
  async *history({ job }, { jobs }) {
    for (const event of jobs.history(job)) yield encodeEvent(event);
  },
  async *stats({ job }, { jobs }, signal) {
    for (const { stats } of await jobs.stats(job, signal)) yield encodeStats(stats);
  },
  async *wait({ job, until, timeout_ms: timeoutMs }, { jobs }, signal) {
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    yield* encodeSnapshot(await jobs.wait(job, { until, signal, ...limit }));
  },
  async *cancel({ job }, { jobs }, signal) {
    yield* encodeSnapshot(await jobs.cancel(job, { signal }));
  },
  async *stop({ job, grace_ms: graceMs }, { jobs }) {
    yield* encodeSnapshot(await jobs.stop(job, graceMs === undefined ? {} : { graceMs }));
  },
  async *remove({ job, force }, { jobs }, signal) {
    await jobs.remove(job, { force, signal });
  },
  async *logs({ job, follow, tail, timestamps, ...since }, { jobs }, signal) {
    const { since_ms: sinceMs, since_ago_ms: sinceAgoMs } = since;
    const chunks = jobs.logs(job, {
      signal,
      ...(follow !== undefined && { follow }),
      ...(sinceMs !== undefined && { sinceMs }),
      ...(sinceAgoMs !== undefined && { sinceAgoMs }),
      ...(tail !== undefined && { tail }),
      ...(timestamps !== undefined && { timestamps }),
    });
    for await (const chunk of chunks) yield* encodeLogChunk(chunk);
  },
  async *bid({ image }, { host }, signal) {
    yield encodeBid(await host.bid(image, signal));
  },
  async *accept({ job, caller, parent, request }, { host }, signal) {
    // Whoever sent it may have sent it anew meanwhile.
    signal.throwIfAborted();
    const { idempotency_key: idempotencyKey, wait_ms: _wait, placement: _placement, ...spec } = request;
    const placed = { spec, caller, idempotencyKey, ...(parent !== undefined && { parent }) };
    yield* encodeAccepted(await host.accept(job, placed));
  },
  async *end({ job, removes, grace_ms: graceMs }, { host }, signal) {
    const ended = await host.end(job, { removes, ...(graceMs !== undefined && { graceMs }) }, signal);
    if (ended !== undefined) yield encodeRecord(ended);
  },
  async *claim({ job: id, nonce, fingerprint, waits }, { host, from }, signal) {
    yield* encodeClaimAnswer(await host.claim({ id, nonce, fingerprint, waits }, from, signal));
  },
};

/**
 * Does to this node's own jobs what other nodes ask, and never asks any other node to do it. Fails as the jobs do; the peers have
 * checked that who asks is a member, and that node whether its client may.
 */
export function carriedCallHandler(
  jobs: OwnJobs,
  host: PlacementHost,
): (request: Uint8Array, from: NodeId, signal: AbortSignal) => Pieces {
  let longCount = 0;
  return async function* (bytes, from, signal) {
    const request = decodeRequest(bytes);
    const isLong = isLongCall(request);
    if (isLong && longCount >= MAX_LONG_CALLS_SERVED) throw busy();
    const answer = ANSWERS[request.call] as (
      request: CarriedRequest,
      served: Served,
      signal: AbortSignal,
    ) => Pieces;
    if (isLong) longCount += 1;
    try {
      yield* answer(request, { jobs, host, from }, signal);
    } finally {
      if (isLong) longCount -= 1;
    }
  };
}

function busy(): CarriedCallError {
  return new CarriedCallError('busy', `${MAX_LONG_CALLS_SERVED} calls that may take minutes are under way`, {
    retryable: true,
    retryAfterMs: BUSY_RETRY_MS,
  });
}
