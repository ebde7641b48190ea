import type { Clock } from '../kernel/clock.ts';
import type { JobId, NodeId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import type { InstanceStats, LogChunk } from '../runtime/driver.ts';
import type { CallCarrier } from './carried/call-carrier.ts';
import { CarriedJobs } from './carried/carried-jobs.ts';
import { clusterEvents } from './cluster-events.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { ElsewhereWaits } from './elsewhere-waits.ts';
import { JobError } from './errors.ts';
import { hasEnded, isDuplicate, type Job, type JobState } from './job.ts';
import { isMatch, newestFirst } from './job-order.ts';
import { snapshotOf, type JobMirror, type MirroredJob, type MirrorQuery } from './job-mirror.ts';
import type {
  EventsOptions,
  JobFilter,
  JobLogsOptions,
  Jobs,
  JobSnapshot,
  ObservedEvent,
  OwnJobs,
  QueueStats,
} from './jobs.ts';
import { MirrorCatchUp } from './mirror-catch-up.ts';
import type { Placements } from './placement/placements.ts';
import type { JobRequest } from './spec.ts';

/** How long an owner may take to tell the rest of a spec before what is known here is told alone, ms. */
const INSPECT_LIMIT_MS = 3_000;

export interface ClusterJobsDependencies {
  readonly own: OwnJobs;
  /** This node. */
  readonly owner: NodeId;
  readonly mirror: JobMirror;
  readonly carrier: CallCarrier;
  readonly clock: Clock;
  /** Longest that a caller may wait for a job, ms. */
  readonly maxWaitMs: number;
  /** Without it all jobs are this node's own. */
  readonly placements?: Placements;
}

/**
 * Every job of the cluster, from any node: this node's own first, at once and as if there were no others; what other nodes
 * told of theirs then; and what only an owner can do or knows, by asking it. An id that nobody here has heard of is asked for
 * among the peers, once.
 */
export class ClusterJobs implements Jobs {
  readonly #own: OwnJobs;
  readonly #owner: NodeId;
  readonly #mirror: JobMirror;
  #placements: Placements | undefined;
  readonly #clock: Clock;
  readonly #maxWaitMs: number;
  readonly #carried: CarriedJobs;
  readonly #waits: ElsewhereWaits;
  readonly #catchUp: MirrorCatchUp;
  /** Ends what waits for other nodes: it would hold up a node that stops. */
  readonly #draining = new AbortController();

  constructor({ own, owner, mirror, carrier, clock, maxWaitMs, placements }: ClusterJobsDependencies) {
    this.#placements = placements;
    this.#own = own;
    this.#owner = owner;
    this.#mirror = mirror;
    this.#clock = clock;
    this.#maxWaitMs = maxWaitMs;
    this.#carried = new CarriedJobs(carrier);
    this.#catchUp = new MirrorCatchUp({ mirror, clock });
    this.#waits = new ElsewhereWaits(maxWaitMs, { mirror, carried: this.#carried, clock });
  }

  /** From now on jobs are also given to other nodes: once this node's own are known. */
  placeBy(placements: Placements): void {
    this.#placements = placements;
  }

  /** Waits for no other node any more. Twice is as once. */
  drain(): void {
    const message = 'the node is shutting down; ask again when it is back';
    this.#draining.abort(new JobError('draining', message, { retryable: true }));
  }

  create(
    request: JobRequest,
    caller: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ job: Job; deduplicated: boolean }> {
    const placements = this.#placements;
    if (placements === undefined || placements.isLocal(request))
      return this.#own.create(request, caller, options);
    return this.#place(placements, request, caller, options.signal);
  }

  stateOf(id: JobId): JobState | Promise<JobState> {
    const own = this.#findOwn(id);
    if (own !== undefined) return own.state;
    const known = this.#find(id);
    return known === undefined ? this.#ask(id).then(({ job }) => job.state) : known.job.state;
  }

  get(id: JobId): JobSnapshot | Promise<JobSnapshot> {
    if (this.#findOwn(id) !== undefined) return this.#own.get(id);
    const known = this.#find(id);
    return known === undefined ? this.#ask(id).then(snapshotOf) : snapshotOf(known);
  }

  inspect(id: JobId, signal?: AbortSignal): JobSnapshot | Promise<JobSnapshot> {
    return this.#findOwn(id) === undefined ? this.#inspectElsewhere(id, signal) : this.#own.inspect(id);
  }

  list(filter: JobFilter): { jobs: JobSnapshot[]; nextCursor: string | undefined } {
    const { allNodes = false, owner, cursor, limit, ...query } = filter;
    if (owner === this.#owner || (owner === undefined && !allNodes)) return this.#own.list(filter);
    const before = cursor === undefined ? {} : { before: decodeCursor(cursor) };
    const only = owner === undefined ? {} : { owner };
    // Each side may fill the page by itself.
    const own = this.#own.list(filter);
    const wanted = { ...query, ...before, ...only, limit: limit + 1 };
    const others = [...this.#mirror.list(wanted), ...this.#underWay(wanted)];
    const merged = [...own.jobs, ...others.map(snapshotOf)].sort((one, other) =>
      newestFirst(one.job, other.job),
    );
    const jobs = merged.slice(0, limit);
    const last = jobs.at(-1);
    const hasMore = merged.length > limit || own.nextCursor !== undefined;
    return { jobs, nextCursor: hasMore && last !== undefined ? encodeCursor(last.job) : undefined };
  }

  history(id: JobId, signal?: AbortSignal): ObservedEvent[] | Promise<ObservedEvent[]> {
    if (this.#findOwn(id) !== undefined) return this.#own.history(id);
    return this.#carry(id, signal, async (target, linked) => {
      const events = await this.#carried.history(target, linked);
      return events.map((event) => ({ ...event, owner: target.job.owner }));
    });
  }

  wait(
    id: JobId,
    options: { until: 'running' | 'ended'; timeoutMs?: number; signal?: AbortSignal },
  ): Promise<JobSnapshot> {
    if (this.#findOwn(id) !== undefined) return this.#own.wait(id, options);
    return this.#carry(id, options.signal, async (target, linked) => {
      // An end is for good, so that it holds even when its owner is gone.
      if (hasEnded(target.job)) return snapshotOf(target);
      const limitMs = Math.min(options.timeoutMs ?? this.#maxWaitMs, this.#maxWaitMs);
      const startedMs = this.#clock.monotonicMs();
      await this.#placements?.arrival(id, limitMs, linked);
      const leftMs = Math.max(0, limitMs - (this.#clock.monotonicMs() - startedMs));
      const waited = await this.#waits.for(target, { until: options.until, timeoutMs: leftMs }, linked);
      return this.#catchUp.with(waited, linked);
    });
  }

  cancel(id: JobId, options: { signal?: AbortSignal } = {}): Promise<JobSnapshot> {
    if (this.#findOwn(id) !== undefined) return this.#own.cancel(id, options);
    return this.#carry(id, options.signal, async (target, linked) => {
      const ended = await this.#placements?.end(id, false, linked);
      if (ended !== undefined) return snapshotOf({ ...target, job: ended });
      return this.#catchUp.with(await this.#carried.cancel(target, linked), linked);
    });
  }

  stop(id: JobId, options: { graceMs?: number } = {}): Promise<JobSnapshot> {
    if (this.#findOwn(id) !== undefined) return this.#own.stop(id, options);
    return this.#carry(id, undefined, async (target, linked) =>
      this.#catchUp.with(await this.#carried.stop(target, options, linked), linked),
    );
  }

  remove(id: JobId, options: { force?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    if (this.#findOwn(id) !== undefined) return this.#own.remove(id, options);
    const { force = false, signal } = options;
    return this.#carry(id, signal, async (target, linked) => {
      const isEnded = force && (await this.#placements?.end(id, true, linked)) !== undefined;
      if (isEnded) return;
      await this.#carried.remove(target, { force }, linked);
      await this.#catchUp.withRemoved(target.job, linked);
    });
  }

  logs(id: JobId, options: JobLogsOptions): AsyncIterable<LogChunk> {
    return this.#findOwn(id) === undefined ? this.#logsElsewhere(id, options) : this.#own.logs(id, options);
  }

  stats(id?: JobId, signal?: AbortSignal): Promise<{ job: Job; stats: InstanceStats }[]> {
    if (id === undefined || this.#findOwn(id) !== undefined) return this.#own.stats(id, signal);
    return this.#carry(id, signal, async (target, linked) => {
      const samples = await this.#carried.stats(target, linked);
      return samples.map((stats) => ({ job: target.job, stats }));
    });
  }

  events(options: EventsOptions): AsyncIterable<ObservedEvent> {
    return options.allNodes === true
      ? clusterEvents(this.#own, this.#mirror, options)
      : this.#own.events(options);
  }

  queue(): QueueStats {
    return this.#own.queue();
  }

  pause(): void {
    this.#own.pause();
  }

  resume(): void {
    this.#own.resume();
  }

  /** Where it is accepted is settled first, and only then whether somebody waits until it runs. */
  async #place(
    placements: Placements,
    request: JobRequest,
    caller: string,
    signal: AbortSignal | undefined,
  ): Promise<{ job: Job; deduplicated: boolean }> {
    using linked = new LinkedSignal(this.#sources(signal));
    const submitted = await placements.create(request, caller, linked.signal).catch((error: unknown) => {
      throw leftOr(error, linked.signal);
    });
    const { wait_ms: timeoutMs } = request;
    if (timeoutMs === undefined) return submitted;
    const { id } = submitted.job;
    const waits = { until: 'running' as const, timeoutMs, signal: linked.signal };
    // However far it has come by then is the answer.
    const snapshot = await this.wait(id, waits).catch(async (error: unknown) => {
      if (!(error instanceof JobError)) throw error;
      return await Promise.resolve(this.get(id)).catch(() => submitted);
    });
    return { ...submitted, job: snapshot.job };
  }

  /** This node's own job, unless another node's of the same id counts. */
  #findOwn(id: JobId): Job | undefined {
    const own = this.#own.find(id);
    if (own === undefined || !isDuplicate(own)) return own;
    const other = this.#mirror.find(id);
    return other === undefined || isDuplicate(other.job) ? own : undefined;
  }

  #find(id: JobId): MirroredJob | undefined {
    return this.#mirror.find(id) ?? this.#placements?.find(id);
  }

  /** Jobs that their nodes have not answered for, as far as nobody has told of them. */
  #underWay(query: MirrorQuery): MirroredJob[] {
    const all = this.#placements?.all() ?? [];
    return all.filter(
      ({ job }) =>
        isMatch(job, query) &&
        this.#own.find(job.id) === undefined &&
        this.#mirror.find(job.id) === undefined,
    );
  }

  #inspectElsewhere(id: JobId, signal: AbortSignal | undefined): Promise<JobSnapshot> {
    return this.#carry(id, signal, async (target, linked) => {
      if (target.job.isAbridged !== true) return snapshotOf(target);
      using limited = new LinkedSignal([linked], { clock: this.#clock, limitMs: INSPECT_LIMIT_MS });
      try {
        return await this.#carried.get(target, limited.signal);
      } catch (error) {
        const isAway = error instanceof JobError && error.code === 'peer_unreachable';
        if (!isAway && !limited.isTimedOut) throw error;
        return snapshotOf(target);
      }
    });
  }

  async *#logsElsewhere(id: JobId, options: JobLogsOptions): AsyncGenerator<LogChunk> {
    using linked = new LinkedSignal(this.#sources(options.signal));
    try {
      const target = this.#find(id) ?? (await this.#ask(id, linked.signal));
      yield* this.#carried.logs(target, options, linked.signal);
    } catch (error) {
      throw leftOr(error, linked.signal);
    }
  }

  /** Has the owner do something, or tell it. */
  async #carry<T>(
    id: JobId,
    signal: AbortSignal | undefined,
    call: (target: MirroredJob, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    using linked = new LinkedSignal(this.#sources(signal));
    try {
      return await call(this.#find(id) ?? (await this.#ask(id, linked.signal)), linked.signal);
    } catch (error) {
      throw leftOr(error, linked.signal);
    }
  }

  #sources(signal: AbortSignal | undefined): AbortSignal[] {
    return signal === undefined ? [this.#draining.signal] : [this.#draining.signal, signal];
  }

  async #ask(id: JobId, signal?: AbortSignal): Promise<MirroredJob> {
    const found = await this.#mirror.ask(id, signal);
    if (found !== undefined) return found;
    throw notFound(id);
  }
}

function notFound(id: JobId): JobError {
  return new JobError('not_found', 'job not found', { details: { job_id: id } });
}

/** What a call failed with, where that is not only that its caller went away. */
function leftOr(error: unknown, signal: AbortSignal): unknown {
  if (!signal.aborted || error instanceof JobError) return error;
  return new JobError('cancelled', 'the caller went away', { cause: error });
}
