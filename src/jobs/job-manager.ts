import { childJobId, type JobId, type NodeId } from '../kernel/ids.ts';
import { abortable } from '../kernel/single-flight.ts';
import type { LogChunk, PullProgress } from '../runtime/driver.ts';
import { ContainerStats, type JobStats } from './container-stats.ts';
import type { JobContext } from './context.ts';
import { Endings } from './endings.ts';
import { EngineWatch } from './engine-watch.ts';
import { JobError } from './errors.ts';
import { followEvents } from './events.ts';
import { instanceName } from './instance-name.ts';
import { hasEnded, isParent, isUp, type Job, type JobEvent, type JobState } from './job.ts';
import type { NewJob } from './job-log.ts';
import type { JobStore } from './job-store.ts';
import type { EventsOptions, JobFilter, JobLogsOptions, JobSnapshot, OwnJobs, QueueStats } from './jobs.ts';
import type { JobPolicy } from './policy.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { Reconciler } from './reconciler.ts';
import { enforceRetention, type RetentionOptions } from './retention.ts';
import type { JobRequest } from './spec.ts';
import { Submissions } from './submissions.ts';
import { Supervisor } from './supervisor.ts';
import { JobWaits } from './wait.ts';
import { MAX_RETRY_BACKOFF_MS, ShutdownRequest, work } from './worker.ts';
import { WorkerPool, type WorkerPoolOptions } from './worker-pool.ts';

export interface JobManagerOptions extends WorkerPoolOptions {
  readonly policy: JobPolicy;
  readonly retention: RetentionOptions;
  readonly reconcileIntervalMs: number;
  readonly reapGraceMs: number;
  /** Longest that a caller may wait for a job, ms. */
  readonly maxWaitMs: number;
}

function hasNoLog({ id, children = [] }: Job): JobError {
  const message = `job ${id} has a copy on each node and no output itself; ask for the logs of a copy`;
  const copies = children.map(({ node }) => ({ node_id: node, job_id: childJobId(id, node) }));
  return new JobError('invalid_state', message, { details: { copies } });
}

/** The node's jobs: accepts, deploys, follows and removes them. */
export class JobManager implements OwnJobs {
  readonly #options: JobManagerOptions;
  readonly #context: JobContext;
  readonly #store: JobStore;
  readonly #pool: WorkerPool;
  readonly #submissions: Submissions;
  readonly #endings: Endings;
  readonly #waits: JobWaits;
  readonly #supervisor: Supervisor;
  readonly #watch: EngineWatch;
  readonly #stats: ContainerStats;
  readonly #shutdown = new AbortController();
  /** Ends what only waits: it would hold up a node that stops, and may come back when the node does. */
  readonly #draining = new AbortController();
  readonly #queueTimers = new Map<JobId, Disposable>();
  #runningCount = 0;
  #background: Promise<void> = Promise.resolve();

  constructor(options: JobManagerOptions, deps: { context: JobContext; store: JobStore }) {
    this.#options = options;
    this.#context = deps.context;
    this.#store = deps.store;
    this.#supervisor = new Supervisor(this.#context);
    this.#stats = new ContainerStats(this.#context);
    this.#pool = new WorkerPool(options, {
      clock: this.#context.clock,
      work: (id, signal) => this.#work(id, signal),
      onDone: (id) => this.#onWorkDone(id),
    });
    this.#waits = new JobWaits(options.maxWaitMs, this.#context);
    const parts = { context: this.#context, pool: this.#pool, waits: this.#waits };
    this.#submissions = new Submissions(options.policy, { ...parts, draining: this.#draining.signal });
    this.#endings = new Endings(parts);
    const reconciler = new Reconciler(
      { reapGraceMs: options.reapGraceMs },
      { context: this.#context, store: this.#store, supervisor: this.#supervisor },
    );
    this.#watch = new EngineWatch(this.#context, {
      reconcileIntervalMs: options.reconcileIntervalMs,
      onEvent: (event) => reconciler.noticeEvent(event),
      onSnapshot: (instances) => reconciler.reconcile(instances, this.#shutdown.signal),
    });
  }

  /** Adopts what is there, then takes up what waits. Resolves when new jobs may come. */
  async start(): Promise<void> {
    this.#context.log.subscribe((event, after, before) => this.#onChange(event.jobId, after, before));
    for (const job of [...this.#context.log.live()]) this.#resumeFollowing(job);
    await this.#watch.start();
    for (const job of [...this.#context.log.live()]) {
      if (isUp(job) || isParent(job)) continue;
      this.#enqueue(job);
    }
    this.#pool.start();
    this.#background = enforceRetention(
      this.#context,
      this.#store,
      this.#options.retention,
      (id) => this.remove(id),
      this.#shutdown.signal,
    ).catch((error: unknown) => {
      if (!this.#shutdown.signal.aborted) this.#context.logger.error({ err: error }, 'retention stopped');
    });
  }

  /** Accepts nothing new. Resolves when the work in hand is done, or `force` is aborted. */
  async drain(force: AbortSignal): Promise<void> {
    const message = 'the node is shutting down; ask again when it is back';
    this.#draining.abort(new JobError('draining', message, { retryable: true }));
    const onForce = (): void => {
      this.#shutdown.abort(new ShutdownRequest('the node stops'));
      this.#pool.abortAll(new ShutdownRequest('the node stops'));
    };
    const drained = this.#pool.drain();
    // A job that waits for the engine stays as it is stored; it must not use up the grace of those that get on.
    this.#context.gate.dismiss(new ShutdownRequest('the node stops'));
    if (force.aborted) onForce();
    force.addEventListener('abort', onForce, { once: true });
    await abortable(drained, force).catch(() => undefined);
    force.removeEventListener('abort', onForce);
  }

  /** Ends all background work. Jobs stay as the store has them; containers go on running. */
  async close(): Promise<void> {
    this.#shutdown.abort(new ShutdownRequest('the node stops'));
    this.#pool.abortAll(new ShutdownRequest('the node stops'));
    this.#supervisor.close();
    this.#context.gate.close();
    for (const timer of this.#queueTimers.values()) timer[Symbol.dispose]();
    await Promise.all([this.#watch.close(), this.#background, this.#pool.drain()]);
  }

  create(
    request: JobRequest,
    caller: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ job: Job; deduplicated: boolean }> {
    return this.#submissions.create(request, caller, options.signal);
  }

  /** Takes in a job that another node sends; see `Submissions.place`. */
  place(draft: NewJob): Promise<{ job: Job; deduplicated: boolean }> {
    return this.#submissions.place(draft);
  }

  /** See `Endings.end`; `undefined` when there is no such job. */
  async end(
    id: JobId,
    how: { readonly hurries: boolean; readonly graceMs?: number },
    signal: AbortSignal,
  ): Promise<Job | undefined> {
    try {
      return await this.#endings.end(id, how, signal);
    } catch (error) {
      if (error instanceof JobError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  /** Whether there was such a job once. */
  wasRemoved(id: JobId): boolean {
    return this.#store.tombstone(id) !== undefined;
  }

  /** Ends a job that counts on another node, and removes its container. Resolves when the wish is durable. */
  endAsDuplicate(id: JobId, keeper: NodeId): Promise<Job> {
    return this.#endings.endAsDuplicate(id, keeper);
  }

  stateOf(id: JobId): JobState {
    return this.#context.log.require(id).state;
  }

  find(id: JobId): Job | undefined {
    return this.#context.log.get(id);
  }

  get(id: JobId): JobSnapshot {
    return this.#snapshot(this.#context.log.require(id));
  }

  inspect(id: JobId): JobSnapshot {
    return this.get(id);
  }

  list(filter: JobFilter): { jobs: JobSnapshot[]; nextCursor: string | undefined } {
    const { cursor, limit, owner, allNodes: _allNodes, ...query } = filter;
    if (owner !== undefined && owner !== this.#context.owner) return { jobs: [], nextCursor: undefined };
    const before = cursor === undefined ? {} : { before: decodeCursor(cursor) };
    const jobs = this.#store.jobs({ ...query, ...before, limit: limit + 1 });
    const page = jobs.slice(0, limit);
    const last = page.at(-1);
    const nextCursor = jobs.length > limit && last !== undefined ? encodeCursor(last) : undefined;
    return { jobs: page.map((job) => this.#snapshot(job)), nextCursor };
  }

  history(id: JobId): JobEvent[] {
    this.#context.log.require(id);
    return this.#store.history(id);
  }

  async wait(
    id: JobId,
    options: { until: 'running' | 'ended'; timeoutMs?: number; signal?: AbortSignal },
  ): Promise<JobSnapshot> {
    const { signal, ...what } = options;
    const signals = [this.#draining.signal, signal];
    return this.#snapshot(await this.#waits.for(id, { ...what, signals }));
  }

  async cancel(id: JobId, options: { signal?: AbortSignal } = {}): Promise<JobSnapshot> {
    return this.#snapshot(await this.#endings.cancel(id, options.signal));
  }

  async stop(id: JobId, options: { graceMs?: number } = {}): Promise<JobSnapshot> {
    return this.#snapshot(await this.#endings.stop(id, options));
  }

  remove(id: JobId, options: { force?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    return this.#endings.remove(id, options);
  }

  async *logs(id: JobId, { sinceAgoMs, ...asked }: JobLogsOptions): AsyncGenerator<LogChunk> {
    const job = this.#context.log.require(id);
    if (isParent(job)) throw hasNoLog(job);
    const view = await this.#context.driver.inspect(job.instance?.id ?? instanceName(id), asked.signal);
    if (view === undefined) return;
    const since =
      sinceAgoMs === undefined ? {} : { sinceMs: Math.max(0, this.#context.clock.wallMs() - sinceAgoMs) };
    yield* this.#context.driver.logs(view.id, { ...asked, ...since });
  }

  stats(id?: JobId, signal?: AbortSignal): Promise<JobStats[]> {
    return this.#stats.of(id, signal);
  }

  events(options: EventsOptions): AsyncIterable<JobEvent> {
    return followEvents(this.#context.log, this.#store, options);
  }

  queue(): QueueStats {
    return {
      queueSize: this.#options.queueSize,
      waiting: this.#pool.waiting,
      delayed: this.#pool.delayed,
      working: this.#pool.working,
      workerCount: this.#options.workerCount,
      running: this.#runningCount,
      isPaused: this.#pool.isPaused,
      isHeld: this.#pool.isHeld,
      isDraining: this.#pool.isDraining || this.#pool.isCordoned,
    };
  }

  /** Those that have not ended, by state. */
  countByState(): Partial<Record<JobState, number>> {
    const counts: Partial<Record<JobState, number>> = {};
    for (const job of this.#context.log.live()) counts[job.state] = (counts[job.state] ?? 0) + 1;
    return counts;
  }

  pause(): void {
    this.#pool.pause();
  }

  resume(): void {
    this.#pool.start();
  }

  /** Accepts no new job until it is told otherwise; those that it has go on. */
  setCordoned(isCordoned: boolean): void {
    this.#pool.setCordoned(isCordoned);
  }

  #snapshot(job: Job): JobSnapshot {
    const pull: PullProgress | undefined = this.#context.pulls.get(job.id);
    return { job, isUnknown: !this.#context.gate.isAvailable && !hasEnded(job), pull };
  }

  #resumeFollowing(job: Job): void {
    if (!isUp(job) || isParent(job)) return;
    this.#runningCount += 1;
    this.#pool.setRunning(this.#runningCount);
    this.#supervisor.follow(job.id, job, undefined);
  }

  async #work(id: JobId, signal: AbortSignal): Promise<void> {
    this.#clearQueueTimer(id);
    const job = this.#context.log.get(id);
    if (job === undefined || hasEnded(job)) return;
    await work(this.#context, job, signal, this.#shutdown.signal, (running, exit) =>
      this.#supervisor.exited(running, exit),
    );
  }

  /** A failed attempt leaves the job pending again. */
  #onWorkDone(id: JobId): void {
    const job = this.#context.log.liveJob(id);
    if (job?.state === 'pending' && !this.#shutdown.signal.aborted) this.#enqueue(job);
  }

  /** After each commit, in order. */
  #onChange(id: JobId, after: Job | undefined, before: Job | undefined): void {
    // What has copies has no container to be deployed, followed or counted.
    if (isParent(after ?? before ?? {})) return;
    const wasUp = before !== undefined && isUp(before);
    const nowUp = after !== undefined && isUp(after);
    if (wasUp !== nowUp) {
      this.#runningCount += nowUp ? 1 : -1;
      this.#pool.setRunning(this.#runningCount);
    }
    this.#supervisor.follow(id, after, before);
    if (before === undefined && after?.state === 'pending') this.#enqueue(after);
    if (after !== undefined && hasEnded(after)) this.#leaveQueue(id);
  }

  #enqueue(job: Job): void {
    if (this.#pool.isDraining) return;
    const timeoutMs = job.spec.timeouts.queue ?? this.#context.defaults.queueTimeoutMs;
    if (timeoutMs > 0 && job.attempt === 1) {
      this.#queueTimers.set(
        job.id,
        this.#context.clock.after(this.#until(job.createdAtMs + timeoutMs, timeoutMs), () =>
          this.#waitedTooLong(job.id, timeoutMs),
        ),
      );
    }
    // One that a life of the node before this had begun may have its container up: it goes before all that wait.
    const priority = job.state === 'pending' ? job.spec.priority : Number.MAX_SAFE_INTEGER;
    const isUrgent = job.notBeforeMs === undefined || job.desire === 'cancel';
    const longestMs = Math.max(job.spec.retry?.backoff ?? 0, MAX_RETRY_BACKOFF_MS);
    this.#pool.enqueue(job.id, priority, isUrgent ? 0 : this.#until(job.notBeforeMs, longestMs));
  }

  /** Ms until a time of the wall clock, but never more than it can have been: the clock may have jumped back since. */
  #until(wallMs: number, longestMs: number): number {
    return Math.min(wallMs - this.#context.clock.wallMs(), longestMs);
  }

  #waitedTooLong(id: JobId, timeoutMs: number): void {
    this.#clearQueueTimer(id);
    if (this.#pool.isWorkingOn(id)) return;
    const message = `no worker was free within ${timeoutMs} ms`;
    this.#context.log
      .change(id, (job) =>
        job.state === 'pending' && !this.#pool.isWorkingOn(id)
          ? { to: 'failed', patch: { outcome: { reason: 'queue_timeout', message, retryable: true } } }
          : undefined,
      )
      .catch((error: unknown) =>
        this.#context.logger.error({ job_id: id, err: error }, 'queue timeout not recorded'),
      );
  }

  #leaveQueue(id: JobId): void {
    this.#clearQueueTimer(id);
    this.#pool.dequeue(id);
  }

  #clearQueueTimer(id: JobId): void {
    this.#queueTimers.get(id)?.[Symbol.dispose]();
    this.#queueTimers.delete(id);
  }
}
