import { CodedError } from '../../kernel/errors.ts';
import type { InstanceStats, LogChunk } from '../../runtime/driver.ts';
import { RUNTIME_ERROR_CODES, RuntimeError, type RuntimeErrorCode } from '../../runtime/errors.ts';
import { JOB_ERROR_CODES, JobError, type JobErrorCode } from '../errors.ts';
import type { JobEvent } from '../job.ts';
import type { MirroredJob } from '../job-mirror.ts';
import { MAX_HISTORY } from '../job-store.ts';
import type { JobLogsOptions, JobSnapshot } from '../jobs.ts';
import { RecordError } from '../record.ts';
import type { CallCarrier } from './call-carrier.ts';
import { decodeEvent, decodeLogChunk, decodeSnapshot, decodeStats } from './replies.ts';
import { encodeRequest, isLongCall, type CarriedRequest } from './requests.ts';

/** A request without the job that it is about. */
type Request = CarriedRequest extends infer Each ? (Each extends unknown ? Omit<Each, 'job'> : never) : never;

/**
 * Other nodes' jobs, by way of their owners. Everything fails as the owner's own jobs do, with `peer_unreachable` when that
 * does not answer, and with the signal's reason.
 */
export class CarriedJobs {
  readonly #carrier: CallCarrier;

  constructor(carrier: CallCarrier) {
    this.#carrier = carrier;
  }

  get(target: MirroredJob, signal: AbortSignal): Promise<JobSnapshot> {
    return this.#snapshot(target, { call: 'get' }, signal);
  }

  wait(
    target: MirroredJob,
    { until, timeoutMs }: { readonly until: 'running' | 'ended'; readonly timeoutMs?: number },
    signal: AbortSignal,
  ): Promise<JobSnapshot> {
    const limit = timeoutMs === undefined ? {} : { timeout_ms: Math.ceil(timeoutMs) };
    return this.#snapshot(target, { call: 'wait', until, ...limit }, signal);
  }

  cancel(target: MirroredJob, signal: AbortSignal): Promise<JobSnapshot> {
    return this.#snapshot(target, { call: 'cancel' }, signal);
  }

  stop(
    target: MirroredJob,
    { graceMs }: { readonly graceMs?: number },
    signal: AbortSignal,
  ): Promise<JobSnapshot> {
    const grace = graceMs === undefined ? {} : { grace_ms: graceMs };
    return this.#snapshot(target, { call: 'stop', ...grace }, signal);
  }

  async remove(
    target: MirroredJob,
    { force }: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#all(target, { call: 'remove', force }, { decode: asIs, signal });
  }

  async history(target: MirroredJob, signal: AbortSignal): Promise<JobEvent[]> {
    const decode = (piece: Uint8Array): JobEvent => decodeEvent(piece, target.job.id);
    return this.#all(target, { call: 'history' }, { decode, signal, maxPieces: MAX_HISTORY });
  }

  /** No sample when it does not run. */
  stats(target: MirroredJob, signal: AbortSignal): Promise<InstanceStats[]> {
    return this.#all(target, { call: 'stats' }, { decode: decodeStats, signal });
  }

  logs(target: MirroredJob, options: JobLogsOptions, signal: AbortSignal): AsyncIterable<LogChunk> {
    const { follow, sinceMs, sinceAgoMs, tail, timestamps } = options;
    const request: Request = {
      call: 'logs',
      ...(follow !== undefined && { follow }),
      ...(sinceMs !== undefined && { since_ms: Math.max(0, Math.floor(sinceMs)) }),
      ...(sinceAgoMs !== undefined && {
        since_ago_ms: Math.min(Math.floor(sinceAgoMs), Number.MAX_SAFE_INTEGER),
      }),
      ...(tail !== undefined && { tail }),
      ...(timestamps !== undefined && { timestamps }),
    };
    return this.#pieces(target, request, { decode: decodeLogChunk, signal });
  }

  async #snapshot(target: MirroredJob, request: Request, signal: AbortSignal): Promise<JobSnapshot> {
    const pieces = await this.#all(target, request, { decode: asIs, signal });
    try {
      const { job, ...observed } = decodeSnapshot(pieces);
      if (job.id !== target.job.id || job.owner !== target.job.owner) throw notUnderstood(target);
      return { job, ...observed, remote: { ageMs: 0, isLost: false } };
    } catch (error) {
      throw translated(error, target);
    }
  }

  async #all<T>(
    target: MirroredJob,
    request: Request,
    options: Reading<T> & { maxPieces?: number },
  ): Promise<T[]> {
    const pieces: T[] = [];
    for await (const piece of this.#pieces(target, request, options)) {
      pieces.push(piece);
      if (pieces.length > (options.maxPieces ?? MAX_PIECES)) throw notUnderstood(target);
    }
    return pieces;
  }

  async *#pieces<T>(target: MirroredJob, asked: Request, { decode, signal }: Reading<T>): AsyncGenerator<T> {
    const { id, owner } = target.job;
    try {
      const request = { ...asked, job: id } as CarriedRequest;
      const options = { isLong: isLongCall(request) };
      for await (const piece of this.#carrier.call(owner, encodeRequest(request), signal, options))
        yield decode(piece);
    } catch (error) {
      signal.throwIfAborted();
      throw translated(error, target);
    }
  }
}

interface Reading<T> {
  readonly decode: (piece: Uint8Array) => T;
  readonly signal: AbortSignal;
}

/** Every answer but a history and a log is shorter than this. */
const MAX_PIECES = 4;

function asIs(piece: Uint8Array): Uint8Array {
  return piece;
}

/** The owner's refusal as if it were ours, with its node among the facts. */
function translated(error: unknown, target: MirroredJob): unknown {
  if (!(error instanceof CodedError)) return error;
  const { code, message, retryable, retryAfterMs } = error;
  if (code === 'peer_unreachable' || code === 'busy') return unreachable(error, target);
  if (error instanceof RecordError || code === 'unsupported_call') return notUnderstood(target, error);
  const options = {
    cause: error,
    details: { ...error.details, node: target.job.owner },
    retryable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  if (Object.hasOwn(JOB_ERROR_CODES, code)) return new JobError(code as JobErrorCode, message, options);
  if (Object.hasOwn(RUNTIME_ERROR_CODES, code))
    return new RuntimeError(code as RuntimeErrorCode, message, { cause: error });
  return error;
}

function unreachable(error: CodedError, { job, ageMs }: MirroredJob): JobError {
  const what = error.code === 'busy' ? 'serves too many calls' : 'cannot be reached';
  const heard = `last heard ${Math.round(ageMs / 1_000)} s ago`;
  const message = `node ${job.owner}, which owns job ${job.id}, ${what} (${heard}): ${error.message}`;
  const details = { job_id: job.id, node: job.owner, last_heard_ms: Math.round(ageMs) };
  const { retryAfterMs } = error;
  return new JobError('peer_unreachable', message, {
    cause: error,
    details,
    retryable: true,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** Whether the owner refused because it serves too many calls. */
export function isBusy(error: unknown): boolean {
  return error instanceof JobError && error.cause instanceof CodedError && error.cause.code === 'busy';
}

function notUnderstood({ job }: MirroredJob, cause?: Error): JobError {
  const message = `node ${job.owner}, which owns job ${job.id}, and this one do not understand each other; run the same version on both`;
  return new JobError('invalid_state', message, { cause, details: { job_id: job.id, node: job.owner } });
}
