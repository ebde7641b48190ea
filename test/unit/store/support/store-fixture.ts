import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Job, JobState } from '../../../../src/jobs/job.ts';
import { JobLog } from '../../../../src/jobs/job-log.ts';
import type { StoreError } from '../../../../src/jobs/job-store.ts';
import { jobSpecSchema } from '../../../../src/jobs/spec.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { newJobId, type NodeId } from '../../../../src/kernel/ids.ts';
import { SecretBox } from '../../../../src/kernel/secret-box.ts';
import { SqliteJobStore, type SqliteJobStoreOptions } from '../../../../src/store/sqlite-job-store.ts';

/** When an ended job of these tests goes, wall clock. */
export const EXPIRES_AT_MS = 10_000;

/** A directory that goes with the test. */
export function tempDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'cm-store-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface StoreFixture extends Disposable {
  readonly directory: string;
  readonly store: SqliteJobStore;
  readonly log: JobLog;
  readonly fatal: readonly StoreError[];
}

export function openStore(
  directory = tempDirectory(),
  options: Partial<SqliteJobStoreOptions> = {},
): StoreFixture {
  const fatal: StoreError[] = [];
  const store = new SqliteJobStore({
    directory,
    box: new SecretBox(Buffer.alloc(32, 7)),
    onFatal: (error) => fatal.push(error),
    ...options,
  });
  const log = new JobLog(
    { owner: '12D3KooWTest' as NodeId, expiryOf: () => EXPIRES_AT_MS },
    { store, clock: systemClock },
  );
  return { directory, store, log, fatal, [Symbol.dispose]: () => store[Symbol.dispose]() };
}

export async function insertJob(log: JobLog, spec: Record<string, unknown> = {}): Promise<Job> {
  const id = newJobId(Date.now());
  const parsed = jobSpecSchema.parse({ image: 'test', ...spec });
  const inserted = await log.insert(
    { id, spec: parsed, caller: 'local', idempotencyKey: undefined },
    { specHash: 'hash' },
  );
  if (inserted.kind !== 'inserted') throw new Error(`${id} was there already`);
  return inserted.job;
}

/** Brings a new job to its end. */
export async function insertEndedJob(log: JobLog): Promise<Job> {
  const { id } = await insertJob(log);
  return change(log, id, 'cancelled');
}

export function change(log: JobLog, id: Job['id'], to: JobState): Promise<Job> {
  return log.change(id, () => ({ to }));
}
