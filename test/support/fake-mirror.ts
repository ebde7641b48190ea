import type { JobId, NodeId } from '../../src/kernel/ids.ts';
import { hasEnded, type Job, type JobEvent } from '../../src/jobs/job.ts';
import type { RemoteObservation } from '../../src/jobs/jobs.ts';
import type { JobMirror, MirroredJob, MirrorListener, MirrorQuery } from '../../src/jobs/job-mirror.ts';

/** What this node knows of other nodes' jobs, as a test tells it. */
export class FakeMirror implements JobMirror {
  /** How long ago each owner was last heard; not at all long unless said here. */
  readonly ageMs = new Map<NodeId, number>();
  readonly lost = new Set<NodeId>();
  /** What the peers answer when they are asked for a job that is not known here. */
  readonly elsewhere = new Map<JobId, Job>();
  /** Every id that was asked for. */
  readonly asked: JobId[] = [];
  readonly #jobs = new Map<string, Job>();
  readonly #removed = new Set<JobId>();
  readonly #listeners = new Set<MirrorListener>();

  /** How many follow the changes. */
  get listeners(): number {
    return this.#listeners.size;
  }

  find(id: JobId): MirroredJob | undefined {
    const jobs = [...this.#jobs.values()]
      .filter((job) => job.id === id)
      .sort((one, other) => (one.owner < other.owner ? -1 : 1));
    const found = jobs.find(({ outcome }) => outcome?.reason !== 'duplicate') ?? jobs[0];
    return found === undefined ? undefined : this.#mirrored(found);
  }

  wasRemoved(id: JobId): boolean {
    return this.#removed.has(id) && this.find(id) === undefined;
  }

  observe(owner: NodeId): RemoteObservation {
    return { ageMs: this.ageMs.get(owner) ?? 100, isLost: this.lost.has(owner) };
  }

  list({ states, idPrefix = '', name, owner, before, limit }: MirrorQuery): MirroredJob[] {
    return [...this.#jobs.values()]
      .filter((job) => states === undefined || states.includes(job.state))
      .filter((job) => job.id.startsWith(idPrefix) && (name === undefined || job.spec.name === name))
      .filter((job) => owner === undefined || job.owner === owner)
      .filter((job) => before === undefined || comesAfter(job, before))
      .sort((one, other) => (comesAfter(one, other) ? 1 : -1))
      .slice(0, limit)
      .map((job) => this.#mirrored(job));
  }

  subscribe(listener: MirrorListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async ask(id: JobId, signal?: AbortSignal): Promise<MirroredJob | undefined> {
    this.asked.push(id);
    await Promise.resolve();
    signal?.throwIfAborted();
    const found = this.elsewhere.get(id);
    return found === undefined ? undefined : this.#mirrored(found);
  }

  /** The owner has told of its job. */
  put(job: Job): void {
    this.#jobs.set(`${job.owner} ${job.id}`, job);
    this.#publish(job, job.state, job);
  }

  remove(job: Job): void {
    if (!this.#jobs.delete(`${job.owner} ${job.id}`)) return;
    this.#removed.add(job.id);
    this.#publish(job, 'removed', undefined);
  }

  #mirrored(job: Job): MirroredJob {
    return { job, ...this.observe(job.owner) };
  }

  #publish(job: Job, type: JobEvent['type'], after: Job | undefined): void {
    const event: JobEvent = {
      epoch: job.epoch,
      seq: job.seq,
      jobId: job.id,
      atMs: job.updatedAtMs,
      type,
      attempt: job.attempt,
      reason: job.outcome?.reason,
      message: hasEnded(job) ? job.outcome?.message : undefined,
      exitCode: job.outcome?.exitCode,
    };
    for (const listener of this.#listeners) listener(event, job.owner, after);
  }
}

type Place = { readonly createdAtMs: number; readonly id: string };

function comesAfter(one: Place, other: Place): boolean {
  if (one.createdAtMs !== other.createdAtMs) return one.createdAtMs < other.createdAtMs;
  return one.id < other.id;
}
