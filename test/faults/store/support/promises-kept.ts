import type { JobEvent } from '../../../../src/jobs/job.ts';
import type { SqliteJobStore } from '../../../../src/store/sqlite-job-store.ts';
import type { Ack, AckLog } from './acks.ts';

export interface Verdict {
  /** Acknowledged changes that the store does not hold. */
  readonly lost: readonly string[];
  /** What the store holds and nobody asked for, or holds twice. */
  readonly extra: readonly string[];
}

/** Compares what a store holds with what its writers were told. */
export function judge(store: SqliteJobStore, log: AckLog): Verdict {
  const events = store.eventsAfter(0, Number.MAX_SAFE_INTEGER);
  const bySeq = new Map(events.map((event) => [event.seq, event]));
  const removedAt = new Map(
    events.filter((event) => event.type === 'removed').map((event) => [event.jobId, event.seq]),
  );
  const isKept = (ack: Ack): boolean => {
    // A removal takes the job's history with it, and leaves a tombstone.
    const removedSeq = removedAt.get(ack.id);
    if (removedSeq !== undefined) return ack.seq <= removedSeq && store.tombstone(ack.id)?.seq === removedSeq;
    const event = bySeq.get(ack.seq);
    const job = store.job(ack.id);
    return event?.jobId === ack.id && event.type === ack.type && job !== undefined && job.seq >= ack.seq;
  };
  const lost = log.acks.filter((ack) => !isKept(ack)).map((ack) => `${ack.id} ${ack.type} ${ack.seq}`);
  return { lost, extra: extraOf(store, events, log) };
}

function extraOf(store: SqliteJobStore, events: readonly JobEvent[], log: AckLog): string[] {
  const jobs = store.jobs({ limit: Number.MAX_SAFE_INTEGER });
  const ids = jobs.map((job) => job.id);
  const lastType = new Map(events.map((event) => [event.jobId, event.type]));
  const unknown = ids.filter((id) => !log.tried.has(id));
  const twice = ids.length === new Set(ids).size ? [] : ['a job is there twice'];
  const submissions = events.filter((event) => event.type === 'pending').map((event) => event.jobId);
  const submittedTwice = submissions.length === new Set(submissions).size ? [] : ['a job began twice'];
  const untold = jobs
    .filter((job) => lastType.get(job.id) !== job.state)
    .map((job) => `${job.id} is ${job.state}, which is not its last event`);
  return [...unknown, ...twice, ...submittedTwice, ...untold];
}
