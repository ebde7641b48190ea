import { jobSpecSchema, type JobSpec } from '../../../../src/jobs/spec.ts';
import type { JobState } from '../../../../src/jobs/job.ts';
import type { JobLog } from '../../../../src/jobs/job-log.ts';
import { newJobId, type JobId } from '../../../../src/kernel/ids.ts';
import type { AckWriter } from './acks.ts';

/** The way of a job that ends well. */
const STATES: readonly JobState[] = ['starting', 'running', 'stopping', 'complete'];
/** Every so many jobs one is removed once it has ended. */
const REMOVE_EVERY = 3;

/** Length of one argument of a job that is meant to be big. */
const BIG_ARGUMENT_LENGTH = 30_000;

/** A spec with something sealed in it; with `bigArguments` it is that many times 30 KB long. */
export function someSpec(index: number, bigArguments = 0): JobSpec {
  return jobSpecSchema.parse({
    image: 'test',
    arguments: [`${index}`, ...Array.from({ length: bigArguments }, () => 'x'.repeat(BIG_ARGUMENT_LENGTH))],
    env: { TOKEN: 'hidden' },
    labels: { index: `${index}` },
    ...(index % 2 === 0 ? { name: `job-${index}` } : {}),
  });
}

/** Submits a job, and writes down when that is acknowledged. */
export async function submit(
  log: JobLog,
  acks: AckWriter,
  index: number,
  bigArguments?: number,
): Promise<JobId> {
  const id = newJobId(Date.now());
  acks.tried(id);
  const draft = { id, spec: someSpec(index, bigArguments), caller: 'local', idempotencyKey: undefined };
  const inserted = await log.insert(draft, { specHash: `hash-${index}` });
  if (inserted.kind !== 'inserted') throw new Error(`${id} was there already`);
  acks.acked({ id, seq: inserted.job.seq, type: 'pending' });
  return id;
}

/** One job from its submission to its end, and now and then to its removal. */
export async function liveOneJob(log: JobLog, acks: AckWriter, index: number): Promise<void> {
  const id = await submit(log, acks, index);
  for (const to of STATES) {
    const job = await log.change(id, () => ({ to, note: `${to} by a test` }));
    acks.acked({ id, seq: job.seq, type: to });
  }
  if (index % REMOVE_EVERY !== 0) return;
  const { promise, resolve } = Promise.withResolvers<number>();
  using _removed = log.subscribe((event) => {
    if (event.jobId === id) resolve(event.seq);
  });
  await log.remove(id);
  acks.acked({ id, seq: await promise, type: 'removed' });
}
