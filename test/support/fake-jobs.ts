import { JobError } from '../../src/jobs/errors.ts';
import type { Job, JobEvent, JobOutcome, JobReason, JobState } from '../../src/jobs/job.ts';
import { hasEnded } from '../../src/jobs/job.ts';
import type { JobFilter, JobLogsOptions, JobSnapshot, OwnJobs, QueueStats } from '../../src/jobs/jobs.ts';
import type { JobRequest } from '../../src/jobs/spec.ts';
import type { InstanceId, JobId, NodeId } from '../../src/kernel/ids.ts';
import { isJobId, jobIdOfKey, newJobId } from '../../src/kernel/ids.ts';
import type { InstanceStats, LogChunk, LogsOptions } from '../../src/runtime/driver.ts';

export interface FakeJobsOptions {
  /** How many jobs may be pending. */
  readonly queueSize?: number;
  /** How many events can be asked for again. */
  readonly keptEvents?: number;
  readonly owner?: NodeId;
}

/** `Jobs` in memory: nothing runs; a test moves each job from state to state. */
export class FakeJobs implements OwnJobs {
  readonly owner: NodeId;
  /** What every create is answered with instead, while set. */
  createError: Error | undefined;
  /** What a log consists of; may be endless. */
  logSource: (id: JobId, options: LogsOptions) => AsyncIterable<LogChunk> = async function* () {};
  /** Who created each job. */
  readonly callers: string[] = [];
  readonly stopGraces: (number | undefined)[] = [];
  readonly logOptions: JobLogsOptions[] = [];
  isPaused = false;
  isDraining = false;
  isUnknown = false;

  readonly #queueSize: number;
  readonly #keptEvents: number;
  readonly #jobs = new Map<JobId, Job>();
  readonly #history = new Map<JobId, JobEvent[]>();
  #events: JobEvent[] = [];
  #seq = 0;
  #wake = Promise.withResolvers<void>();

  constructor(options: FakeJobsOptions = {}) {
    const { queueSize = 10_000, keptEvents = 10_000, owner = '12D3KooWFake' as NodeId } = options;
    this.owner = owner;
    this.#queueSize = queueSize;
    this.#keptEvents = keptEvents;
  }

  get size(): number {
    return this.#jobs.size;
  }

  async create(
    request: JobRequest,
    caller: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ job: Job; deduplicated: boolean }> {
    await Promise.resolve();
    if (this.createError !== undefined) throw this.createError;
    if (this.isDraining) throw new JobError('draining', 'the node is draining', { retryable: true });
    const { idempotency_key: key, wait_ms: waitMs, placement: _placement, ...spec } = request;
    const id = key === undefined ? newJobId(Date.now()) : jobIdOfKey(caller, key);
    const existing = this.#jobs.get(id);
    if (existing !== undefined) return this.#deduplicated(existing, spec);
    if (this.#count('pending') >= this.#queueSize) {
      const details = { queue_size: this.#queueSize, waiting: this.#count('pending') };
      throw new JobError('queue_full', `${this.#queueSize} jobs wait already`, {
        details,
        retryable: true,
        retryAfterMs: 500,
      });
    }
    this.callers.push(caller);
    const nowMs = Date.now();
    this.#commit({
      id,
      owner: this.owner,
      epoch: 1,
      seq: 0,
      spec,
      caller,
      idempotencyKey: key,
      state: 'pending',
      desire: 'run',
      attempt: 1,
      restarts: 0,
      instance: undefined,
      outcome: undefined,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      runningAtMs: undefined,
      finishedAtMs: undefined,
      notBeforeMs: undefined,
      stopGraceMs: undefined,
    });
    if (waitMs !== undefined)
      await this.wait(id, { ...options, until: 'running', timeoutMs: waitMs }).catch(() => undefined);
    return { job: this.get(id).job, deduplicated: false };
  }

  stateOf(id: JobId): JobState {
    const job = this.#jobs.get(id);
    if (job === undefined) throw notFound(id);
    return job.state;
  }

  find(id: JobId): Job | undefined {
    return this.#jobs.get(id);
  }

  inspect(id: JobId): JobSnapshot {
    return this.get(id);
  }

  get(id: JobId): JobSnapshot {
    const job = this.#jobs.get(id);
    if (job === undefined) throw notFound(id);
    return { job, isUnknown: this.isUnknown, pull: undefined };
  }

  list(filter: JobFilter): { jobs: JobSnapshot[]; nextCursor: string | undefined } {
    const { states, idPrefix = '', name, owner, limit, cursor } = filter;
    const found = [...this.#jobs.values()]
      .filter((job) => owner === undefined || job.owner === owner)
      .filter((job) => states === undefined || states.includes(job.state))
      .filter((job) => job.id.startsWith(idPrefix) && (name === undefined || job.spec.name === name))
      .sort((a, b) => (a.id < b.id ? 1 : -1))
      .filter((job) => cursor === undefined || job.id < cursor);
    const page = found.slice(0, limit);
    return {
      jobs: page.map(({ id }) => this.get(id)),
      nextCursor: found.length > limit ? page.at(-1)?.id : undefined,
    };
  }

  history(id: JobId): JobEvent[] {
    this.get(id);
    return [...(this.#history.get(id) ?? [])];
  }

  async wait(
    id: JobId,
    { until, timeoutMs, signal }: { until: 'running' | 'ended'; timeoutMs?: number; signal?: AbortSignal },
  ): Promise<JobSnapshot> {
    const { promise: timeout, resolve } = Promise.withResolvers<'timeout'>();
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => resolve('timeout'), timeoutMs);
    this.waiting += 1;
    const { promise: left, resolve: leave } = Promise.withResolvers<'left'>();
    signal?.addEventListener('abort', () => leave('left'), { once: true });
    try {
      for (;;) {
        const snapshot = this.get(id);
        if (hasEnded(snapshot.job) || (until === 'running' && snapshot.job.state === 'running'))
          return snapshot;
        const winner = await Promise.race([this.#wake.promise, timeout, left]);
        if (winner === 'timeout') throw new JobError('timeout', `job ${id} is still ${this.stateOf(id)}`);
        if (winner === 'left') {
          this.abandonedWaits += 1;
          throw new JobError('cancelled', 'the caller went away');
        }
      }
    } finally {
      this.waiting -= 1;
      clearTimeout(timer);
    }
  }

  /** How many waits are under way. */
  waiting = 0;
  /** How many waits ended because their caller left. */
  abandonedWaits = 0;

  async cancel(id: JobId): Promise<JobSnapshot> {
    const { job } = this.get(id);
    if (hasEnded(job) || job.state === 'running' || job.state === 'stopping')
      throw invalidState(job, 'cancelled');
    this.move(id, 'cancelled', { reason: 'cancelled', message: 'cancelled on request', retryable: false });
    return Promise.resolve(this.get(id));
  }

  async stop(id: JobId, options: { graceMs?: number } = {}): Promise<JobSnapshot> {
    const { job } = this.get(id);
    if (job.state !== 'running') throw invalidState(job, 'stopped');
    this.stopGraces.push(options.graceMs);
    this.move(id, 'stopping');
    return Promise.resolve(this.get(id));
  }

  async remove(id: JobId, options: { force?: boolean } = {}): Promise<void> {
    const { job } = this.get(id);
    if (!hasEnded(job) && options.force !== true) throw invalidState(job, 'removed');
    this.#jobs.delete(id);
    this.#publish(job, 'removed');
    return Promise.resolve();
  }

  async *logs(id: JobId, options: JobLogsOptions): AsyncIterable<LogChunk> {
    this.get(id);
    this.logOptions.push(options);
    yield* this.logSource(id, options);
  }

  async stats(id?: JobId): Promise<{ job: Job; stats: InstanceStats }[]> {
    const running = [...this.#jobs.values()].filter((job) => job.state === 'running');
    if (id !== undefined) this.get(id);
    const stats: InstanceStats = {
      cpus: 0.5,
      memoryBytes: 1024,
      memoryLimitBytes: 4096,
      networkReceivedBytes: 1,
      networkSentBytes: 2,
      blockReadBytes: 3,
      blockWrittenBytes: 4,
      pids: 1,
    };
    return Promise.resolve(
      running.filter((job) => id === undefined || job.id === id).map((job) => ({ job, stats })),
    );
  }

  async *events(options: {
    after?: { epoch: number; seq: number };
    signal: AbortSignal;
  }): AsyncIterable<JobEvent> {
    const { signal } = options;
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve(), { once: true });
    let after = options.after?.seq ?? this.#seq;
    if (after < this.#seq - this.#events.length || (options.after?.epoch ?? 1) !== 1) {
      throw new JobError('invalid_state', 'events before that are kept no more');
    }
    this.subscribers += 1;
    try {
      while (!signal.aborted) {
        const wake = this.#wake.promise;
        for (const event of this.#events.filter(({ seq }) => seq > after)) {
          after = event.seq;
          yield event;
        }
        await Promise.race([wake, aborted]);
      }
    } finally {
      this.subscribers -= 1;
    }
  }

  /** How many event subscriptions are open. */
  subscribers = 0;

  queue(): QueueStats {
    return {
      queueSize: this.#queueSize,
      waiting: this.#count('pending'),
      delayed: 0,
      working: 0,
      workerCount: 10,
      running: this.#count('running'),
      isPaused: this.isPaused,
      isHeld: this.isPaused,
      isDraining: this.isDraining,
    };
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  /** Puts a job into a state, with its container from `starting` on. */
  move(id: JobId | string, state: JobState, outcome?: JobOutcome): void {
    if (!isJobId(id)) throw new TypeError(`${id} is no job id`);
    const { job } = this.get(id);
    const nowMs = Date.now();
    const hasContainer = state === 'starting' || state === 'running';
    this.#commit({
      ...job,
      state,
      outcome,
      updatedAtMs: nowMs,
      instance: hasContainer
        ? { id: `container-of-${id}` as InstanceId, address: '172.17.0.2' }
        : job.instance,
      runningAtMs: state === 'running' ? nowMs : job.runningAtMs,
      finishedAtMs: hasEnded({ state }) ? nowMs : undefined,
    });
  }

  #deduplicated(job: Job, spec: Job['spec']): { job: Job; deduplicated: boolean } {
    if (JSON.stringify(job.spec) === JSON.stringify(spec)) return { job, deduplicated: true };
    throw new JobError('idempotency_conflict', 'the idempotency key was used with another spec', {
      details: { job_id: job.id },
    });
  }

  #commit(job: Job): void {
    this.#seq += 1;
    const committed = { ...job, seq: this.#seq };
    this.#jobs.set(job.id, committed);
    this.#publish(committed, job.state, job.outcome?.reason);
  }

  #publish(job: Job, type: JobEvent['type'], reason?: JobReason): void {
    if (type === 'removed') this.#seq += 1;
    const event: JobEvent = {
      epoch: 1,
      seq: this.#seq,
      jobId: job.id,
      atMs: Date.now(),
      type,
      attempt: job.attempt,
      reason,
      message: job.outcome?.message,
      exitCode: job.outcome?.exitCode,
    };
    this.#events = [...this.#events.slice(-this.#keptEvents + 1), event];
    this.#history.set(job.id, [...(this.#history.get(job.id) ?? []), event]);
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers();
    resolve();
  }

  #count(state: JobState): number {
    let count = 0;
    for (const job of this.#jobs.values()) if (job.state === state) count += 1;
    return count;
  }
}

function notFound(id: JobId): JobError {
  return new JobError('not_found', `there is no job ${id}`, { details: { job_id: id } });
}

function invalidState(job: Job, wish: string): JobError {
  const details = { job_id: job.id, status: job.state };
  return new JobError('invalid_state', `job ${job.id} is ${job.state} and cannot be ${wish}`, { details });
}
