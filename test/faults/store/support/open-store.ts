import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Job, JobEvent } from '../../../../src/jobs/job.ts';
import { JobLog } from '../../../../src/jobs/job-log.ts';
import type { StoreError, Tombstone } from '../../../../src/jobs/job-store.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import type { JobId, NodeId } from '../../../../src/kernel/ids.ts';
import { SecretBox } from '../../../../src/kernel/secret-box.ts';
import { SqliteJobStore } from '../../../../src/store/sqlite-job-store.ts';

/** Long enough that nothing a test makes expires while it runs, ms. */
const KEEP_MS = 3_600_000;

export interface OpenStore extends Disposable {
  readonly store: SqliteJobStore;
  readonly log: JobLog;
}

export interface OpenOptions {
  readonly onFatal?: (error: StoreError) => void;
  readonly onBatch?: (seconds: number, count: number) => void;
}

/** The store of `directory` as a node opens it, always with the same key. */
export function openStore(directory: string, options: OpenOptions = {}): OpenStore {
  const store = new SqliteJobStore({
    directory,
    box: new SecretBox(Buffer.alloc(32, 7)),
    onFatal: options.onFatal ?? raise,
    ...(options.onBatch === undefined ? {} : { onBatch: options.onBatch }),
  });
  const log = new JobLog(
    { owner: '12D3KooWFaults' as NodeId, expiryOf: (job) => (job.finishedAtMs ?? 0) + KEEP_MS },
    { store, clock: systemClock },
  );
  return { store, log, [Symbol.dispose]: () => store[Symbol.dispose]() };
}

/** Everything a store holds, as its readers see it. */
export interface StoreContent {
  readonly jobs: readonly Job[];
  readonly events: readonly JobEvent[];
  readonly tombstones: readonly Tombstone[];
  readonly lastSeq: number;
  readonly eventFloor: number;
}

export function contentOf(store: SqliteJobStore): StoreContent {
  const events = store.eventsAfter(0, Number.MAX_SAFE_INTEGER);
  const removed = new Set<JobId>(
    events.filter((event) => event.type === 'removed').map((event) => event.jobId),
  );
  return {
    jobs: store.jobs({ limit: Number.MAX_SAFE_INTEGER }),
    events,
    tombstones: [...removed].flatMap((id) => store.tombstone(id) ?? []),
    lastSeq: store.lastSeq,
    eventFloor: store.eventFloor(),
  };
}

/** SQLite's own word on a closed store's file. */
export function integrityOf(directory: string): unknown {
  const database = new DatabaseSync(join(directory, 'jobs.db'));
  try {
    return database.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
  } finally {
    database.close();
  }
}

function raise(error: Error): never {
  throw error;
}
