import { z } from 'zod';
import type { JobId } from '../../kernel/ids.ts';
import type { InstanceStats, LogChunk, PullProgress } from '../../runtime/driver.ts';
import { JOB_STATES, type JobEvent, type JobReason, type JobState } from '../job.ts';
import type { JobSnapshot } from '../jobs.ts';
import { decodeRecord, encodeRecord, shortened } from '../record.ts';
import { CarriedCallError, parseJson } from './requests.ts';

/** What the owner answers: JSON, records, and pieces of logs. Everything is checked by who reads it. */

/** Room for a job with all of its spec. */
export const MAX_WHOLE_RECORD_BYTES = 768 * 1024;
/** Longest piece of a log. */
const LOG_PIECE_BYTES = 256 * 1024;

/** Longest sentence about what happened to a job that leaves its owner, characters. */
const MAX_EVENT_MESSAGE_LENGTH = 4_096;

const count = z.int().min(0);
const amount = z.number().min(0);

const observations = z.object({
  unknown: z.boolean(),
  pull: z
    .object({ layers_done: count, layers_total: count, downloaded_bytes: amount, total_bytes: amount })
    .exactOptional(),
});

/** Two pieces: what is observed beside the record, and the record. */
export function* encodeSnapshot({ job, isUnknown, pull }: JobSnapshot): Generator<Uint8Array> {
  yield json({ unknown: isUnknown, ...(pull !== undefined && { pull: pullMessage(pull) }) });
  yield encodeRecord(job, MAX_WHOLE_RECORD_BYTES);
}

export function decodeSnapshot(pieces: readonly Uint8Array[]): JobSnapshot {
  const [first, second] = pieces;
  if (first === undefined || second === undefined) throw unreadable();
  const { unknown, pull } = read(observations, first);
  return {
    job: decodeRecord(second, MAX_WHOLE_RECORD_BYTES),
    isUnknown: unknown,
    pull: pull === undefined ? undefined : pullOf(pull),
  };
}

type PullMessage = NonNullable<z.output<typeof observations>['pull']>;

function pullMessage(pull: PullProgress): PullMessage {
  return {
    layers_done: pull.layersDone,
    layers_total: pull.layersTotal,
    downloaded_bytes: pull.downloadedBytes,
    total_bytes: pull.totalBytes,
  };
}

function pullOf(message: PullMessage): PullProgress {
  return {
    layersDone: message.layers_done,
    layersTotal: message.layers_total,
    downloadedBytes: message.downloaded_bytes,
    totalBytes: message.total_bytes,
  };
}

const event = z.object({
  epoch: count,
  seq: count,
  at: z.int().min(0).max(253_402_300_799_999),
  type: z.enum([...(Object.keys(JOB_STATES) as JobState[]), 'removed']),
  attempt: count,
  reason: z.string().max(64).exactOptional(),
  message: z.string().max(MAX_EVENT_MESSAGE_LENGTH).exactOptional(),
  exit_code: z.int().exactOptional(),
});

export function encodeEvent({
  epoch,
  seq,
  atMs,
  type,
  attempt,
  reason,
  message,
  exitCode,
}: JobEvent): Uint8Array {
  const told = message === undefined ? undefined : shortened(message, MAX_EVENT_MESSAGE_LENGTH);
  return json({ epoch, seq, at: atMs, type, attempt, reason, message: told, exit_code: exitCode });
}

export function decodeEvent(piece: Uint8Array, jobId: JobId): JobEvent {
  const { at, reason, message, exit_code: exitCode, ...same } = read(event, piece);
  return { ...same, jobId, atMs: at, reason: reason as JobReason | undefined, message, exitCode };
}

const stats = z.object({
  cpus: amount,
  memory: amount,
  memory_limit: amount,
  network_received: amount,
  network_sent: amount,
  block_read: amount,
  block_written: amount,
  pids: count,
});

export function encodeStats(sample: InstanceStats): Uint8Array {
  const message: z.output<typeof stats> = {
    cpus: sample.cpus,
    memory: sample.memoryBytes,
    memory_limit: sample.memoryLimitBytes,
    network_received: sample.networkReceivedBytes,
    network_sent: sample.networkSentBytes,
    block_read: sample.blockReadBytes,
    block_written: sample.blockWrittenBytes,
    pids: sample.pids,
  };
  return json(message);
}

export function decodeStats(piece: Uint8Array): InstanceStats {
  const message = read(stats, piece);
  return {
    cpus: message.cpus,
    memoryBytes: message.memory,
    memoryLimitBytes: message.memory_limit,
    networkReceivedBytes: message.network_received,
    networkSentBytes: message.network_sent,
    blockReadBytes: message.block_read,
    blockWrittenBytes: message.block_written,
    pids: message.pids,
  };
}

const STREAM_BYTES = { stdout: 1, stderr: 2 } as const satisfies Record<LogChunk['stream'], number>;

/** The stream in the first byte of each piece. */
export function* encodeLogChunk({ stream, data }: LogChunk): Generator<Uint8Array> {
  for (let start = 0; start < data.length; start += LOG_PIECE_BYTES) {
    yield Buffer.concat([Uint8Array.of(STREAM_BYTES[stream]), data.subarray(start, start + LOG_PIECE_BYTES)]);
  }
}

export function decodeLogChunk(piece: Uint8Array): LogChunk {
  const [stream] = piece;
  if (stream !== STREAM_BYTES.stdout && stream !== STREAM_BYTES.stderr) throw unreadable();
  return {
    stream: stream === STREAM_BYTES.stdout ? 'stdout' : 'stderr',
    data: Buffer.from(piece.buffer, piece.byteOffset + 1, piece.byteLength - 1),
  };
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

export function read<Schema extends z.ZodType>(schema: Schema, piece: Uint8Array): z.output<Schema> {
  const parsed = schema.safeParse(parseJson(piece));
  if (parsed.success) return parsed.data;
  throw unreadable();
}

export function unreadable(): CarriedCallError {
  return new CarriedCallError('unsupported_call', 'the answer cannot be read here');
}
