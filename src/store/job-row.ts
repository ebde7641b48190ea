import { crc32 } from 'node:zlib';
import { messageOf } from '../kernel/errors.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import type { Job, JobEvent } from '../jobs/job.ts';
import type { JobSpec } from '../jobs/spec.ts';
import { StoreError, type Tombstone } from '../jobs/job-store.ts';
import { storeCorrupt } from './failures.ts';

/** The persisted shapes: columns for what is searched, JSON for the rest, and a checksum over all of it. */

export interface JobRow {
  readonly id: string;
  readonly owner: string;
  readonly epoch: number;
  readonly seq: number;
  readonly state: string;
  readonly name: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly spec_hash: string | null;
  readonly spec: string;
  readonly body: string;
  readonly checksum: number;
}

/** Where rows come from: the file for what an error says, the box for what is sealed in them. */
export interface RowSource {
  readonly file: string;
  readonly box: SecretBox;
}

/** Version of the JSON in `spec`. */
const SPEC_VERSION = 1;

/** The columns that are the job's own fields; everything else of a job goes into `body`. */
type Columns = 'id' | 'owner' | 'epoch' | 'seq' | 'state' | 'createdAtMs' | 'spec';
type JobBody = Omit<Job, Columns>;

export function encodeSpec(spec: JobSpec, box: SecretBox, id: string): string {
  const { env, ...open } = spec;
  // Values of the environment are secrets: only this node's key opens them.
  const sealedEnv = Object.keys(env).length === 0 ? undefined : box.seal(JSON.stringify(env), id);
  return JSON.stringify({ v: SPEC_VERSION, ...open, sealedEnv });
}

/** Throws `store_foreign` for a spec that a newer version wrote or another node sealed. */
function decodeSpec(text: string, source: RowSource, id: string): JobSpec {
  const { v, sealedEnv, ...open } = JSON.parse(text) as Omit<JobSpec, 'env'> & {
    v: number;
    sealedEnv?: string;
  };
  if (v !== SPEC_VERSION)
    throw foreign(source, id, `has spec version ${v}, which is not known here; upgrade this node`);
  const env = sealedEnv === undefined ? {} : openEnv(sealedEnv, source, id);
  return { ...open, env };
}

/** Whether only the key that wrote this row can read it. */
export function isSealed(row: JobRow): boolean {
  return row.spec.includes('"sealedEnv":');
}

function openEnv(sealed: string, source: RowSource, id: string): Record<string, string> {
  let text: string;
  try {
    text = source.box.open(sealed, id);
  } catch (error) {
    const remedy = 'restore the identity.key that belongs to it';
    throw foreign(source, id, `was sealed with another node's key (${messageOf(error)}); ${remedy}`);
  }
  return JSON.parse(text) as Record<string, string>;
}

function foreign(source: RowSource, id: string, what: string): StoreError {
  return new StoreError('store_foreign', `${source.file}: job ${id} ${what}`, {
    details: { file: source.file, job_id: id },
  });
}

export function encodeBody(job: Job): string {
  const body: JobBody = {
    caller: job.caller,
    idempotencyKey: job.idempotencyKey,
    desire: job.desire,
    attempt: job.attempt,
    restarts: job.restarts,
    instance: job.instance,
    outcome: job.outcome,
    updatedAtMs: job.updatedAtMs,
    runningAtMs: job.runningAtMs,
    finishedAtMs: job.finishedAtMs,
    notBeforeMs: job.notBeforeMs,
    stopGraceMs: job.stopGraceMs,
    ...(job.parent !== undefined && { parent: job.parent }),
    ...(job.children !== undefined && { children: job.children }),
  };
  return JSON.stringify(body);
}

/** Throws `store_corrupt` when the row is not what was written; so does whatever decodes one. */
export function verifyJob(row: JobRow, source: RowSource): void {
  requireChecksum(source, 'job', row.id, jobChecksum(row), row.checksum);
}

export function verifyEvent(row: EventRow, source: RowSource): void {
  requireChecksum(source, 'event', row.seq, eventChecksum(row), row.checksum);
}

export function verifyTombstone(row: TombstoneRow, source: RowSource): void {
  requireChecksum(source, 'tombstone', row.id, tombstoneChecksum(row), row.checksum);
}

export function decodeJob(row: JobRow, source: RowSource): Job {
  verifyJob(row, source);
  const body = JSON.parse(row.body) as Partial<JobBody> &
    Pick<JobBody, 'caller' | 'desire' | 'attempt' | 'restarts' | 'updatedAtMs'>;
  return {
    id: row.id as Job['id'],
    owner: row.owner as Job['owner'],
    epoch: row.epoch,
    seq: row.seq,
    state: row.state as Job['state'],
    createdAtMs: row.created_at,
    spec: decodeSpec(row.spec, source, row.id),
    idempotencyKey: undefined,
    instance: undefined,
    outcome: undefined,
    runningAtMs: undefined,
    finishedAtMs: undefined,
    notBeforeMs: undefined,
    stopGraceMs: undefined,
    ...body,
  };
}

export function jobChecksum(row: Omit<JobRow, 'checksum'>): number {
  // As JSON, so that nothing can be mistaken for something else: null is not the empty text.
  const { id, owner, epoch, seq, state, name, created_at, expires_at, spec_hash } = row;
  const columns = JSON.stringify([id, owner, epoch, seq, state, name, created_at, expires_at, spec_hash]);
  return crc32(columns + row.spec + row.body);
}

export interface EventRow {
  readonly seq: number;
  readonly epoch: number;
  readonly job: string;
  readonly body: string;
  readonly checksum: number;
}

export function eventChecksum(row: Omit<EventRow, 'checksum'>): number {
  return crc32(`${row.seq}\n${row.epoch}\n${row.job}\n${row.body}`);
}

export function encodeEventBody(event: JobEvent): string {
  const { type, atMs, attempt, reason, message, exitCode } = event;
  return JSON.stringify({ type, atMs, attempt, reason, message, exitCode });
}

export function decodeEvent(row: EventRow, source: RowSource): JobEvent {
  verifyEvent(row, source);
  const body = JSON.parse(row.body) as Pick<JobEvent, 'type' | 'atMs' | 'attempt'> & Partial<JobEvent>;
  return {
    seq: row.seq,
    epoch: row.epoch,
    jobId: row.job as JobEvent['jobId'],
    reason: undefined,
    message: undefined,
    exitCode: undefined,
    ...body,
  };
}

export interface TombstoneRow {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly state: string;
  readonly spec_hash: string | null;
  readonly removed_at: number;
  readonly checksum: number;
}

export function tombstoneChecksum(row: Omit<TombstoneRow, 'checksum'>): number {
  return crc32(`${row.id}\n${row.epoch}\n${row.seq}\n${row.state}\n${row.spec_hash}\n${row.removed_at}`);
}

export function decodeTombstone(row: TombstoneRow, source: RowSource): Tombstone {
  verifyTombstone(row, source);
  return {
    id: row.id as Tombstone['id'],
    epoch: row.epoch,
    seq: row.seq,
    state: row.state as Tombstone['state'],
    specHash: row.spec_hash ?? undefined,
    removedAtMs: row.removed_at,
  };
}

function requireChecksum(
  source: RowSource,
  kind: string,
  id: string | number,
  computed: number,
  stored: number,
): void {
  if (computed === stored) return;
  throw storeCorrupt(source.file, `the checksum of ${kind} ${id} is wrong`, { details: { kind, id } });
}
