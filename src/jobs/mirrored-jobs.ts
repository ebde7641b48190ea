import type { Clock } from '../kernel/clock.ts';
import type { JobId, NodeId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { SingleFlight } from '../kernel/single-flight.ts';
import { JobError } from './errors.ts';
import type { JobMirror, MirroredJob, MirrorListener } from './job-mirror.ts';
import type { JobQuery } from './job-store.ts';
import type { Job, JobEvent } from './job.ts';
import type { RemoteObservation } from './jobs.ts';
import { readRecord } from './record-reader.ts';
import { RecordError } from './record.ts';

/** A record of another node's log. */
export interface SourceRecord {
  readonly owner: NodeId;
  readonly key: string;
  readonly epoch: number;
  readonly seq: number;
  /** Undefined when it was removed. */
  readonly body: Uint8Array | undefined;
}

/** Where the records of other nodes come from. */
export interface RecordSource {
  /** Of every owner that has the key, the lowest owner first. */
  recordsOf(key: string): readonly SourceRecord[];
  list(query: JobQuery & { readonly owner?: NodeId }): readonly SourceRecord[];
  /** How long ago an owner was last heard, ms. */
  ageMsOf(owner: NodeId): number;
  subscribe(listener: (record: SourceRecord) => void): Disposable;
  /** Asks the peers for a key, and resolves when those asked have answered. */
  locate(key: string, signal: AbortSignal): Promise<void>;
}

/** How long the peers are given to say whether they know a job, ms. */
const ASK_TIMEOUT_MS = 1_000;
/** Different jobs that are asked for at once; one more is refused. */
const MAX_ASKED = 64;

/** Jobs of other nodes, read from the records that they sent. */
export class MirroredJobs implements JobMirror {
  readonly #source: RecordSource;
  readonly #clock: Clock;
  readonly #silentMs: number;
  readonly #asking = new SingleFlight<JobId, void>();

  /** `silentMs`: an owner that was not heard for longer may be gone. */
  constructor(options: { silentMs: number }, deps: { source: RecordSource; clock: Clock }) {
    this.#silentMs = options.silentMs;
    this.#source = deps.source;
    this.#clock = deps.clock;
  }

  find(id: JobId): MirroredJob | undefined {
    let found: MirroredJob | undefined;
    for (const record of this.#source.recordsOf(id)) {
      const job = this.#read(record);
      found ??= job;
      // One that gave way to another owner's is not the one that is meant.
      if (job !== undefined && job.job.outcome?.reason !== 'duplicate') return job;
    }
    return found;
  }

  list(query: JobQuery & { readonly owner?: NodeId }): MirroredJob[] {
    return this.#source.list(query).flatMap((record) => this.#read(record) ?? []);
  }

  subscribe(listener: MirrorListener): Disposable {
    return this.#source.subscribe((record) => {
      const job = record.body === undefined ? undefined : jobOf(record);
      if (record.body !== undefined && job === undefined) return;
      listener(this.#eventOf(record, job), record.owner, job);
    });
  }

  wasRemoved(id: JobId): boolean {
    const records = this.#source.recordsOf(id);
    return records.length > 0 && records.every(({ body }) => body === undefined);
  }

  observe(owner: NodeId): RemoteObservation {
    const ageMs = this.#source.ageMsOf(owner);
    return { ageMs, isLost: ageMs > this.#silentMs };
  }

  async ask(id: JobId, signal?: AbortSignal): Promise<MirroredJob | undefined> {
    if (this.#asking.size >= MAX_ASKED && !this.#asking.has(id)) throw tooMany();
    const locate = async (shared: AbortSignal): Promise<void> => {
      using limited = new LinkedSignal([shared], { clock: this.#clock, limitMs: ASK_TIMEOUT_MS });
      await this.#source.locate(id, limited.signal).catch(() => undefined);
    };
    await this.#asking.run(id, locate, signal);
    return this.find(id);
  }

  #read(record: SourceRecord): MirroredJob | undefined {
    const job = jobOf(record);
    return job === undefined ? undefined : { job, ...this.observe(record.owner) };
  }

  #eventOf({ epoch, seq, key }: SourceRecord, job: Job | undefined): JobEvent {
    return {
      epoch,
      seq,
      jobId: key as JobId,
      atMs: job?.updatedAtMs ?? this.#clock.wallMs(),
      type: job?.state ?? 'removed',
      attempt: job?.attempt ?? 0,
      reason: job?.outcome?.reason,
      message: job?.outcome?.message,
      exitCode: job?.outcome?.exitCode,
    };
  }
}

function tooMany(): JobError {
  return new JobError('too_many_waits', `the peers are asked for ${MAX_ASKED} jobs already`, {
    details: { limit: MAX_ASKED },
    retryable: true,
    retryAfterMs: ASK_TIMEOUT_MS,
  });
}

/**
 * The job of a record; undefined when it was removed, and for one that a newer version wrote. The place is that of the record: an owner
 * that begins a new epoch says all of its jobs again.
 */
function jobOf({ body, owner, epoch, seq, key }: SourceRecord): Job | undefined {
  if (body === undefined) return undefined;
  try {
    return { ...readRecord(body), id: key as JobId, owner, epoch, seq };
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}
