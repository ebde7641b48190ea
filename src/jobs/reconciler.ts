import type { InstanceId } from '../kernel/ids.ts';
import type { InstanceSummary, InstanceView, RuntimeEvent } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { classify, type Verdict } from './classify.ts';
import type { JobContext } from './context.ts';
import { instanceOf } from './deployment.ts';
import { outcomeOfExit } from './failure.ts';
import { isEngineAway } from './engine-gate.ts';
import { markOf, type InstanceMark } from './instance-labels.ts';
import type { NewJob } from './job-log.ts';
import type { JobStore } from './job-store.ts';
import { isUp } from './job.ts';
import { jobSpecSchema } from './spec.ts';
import type { Supervisor } from './supervisor.ts';

export interface ReconcilerOptions {
  /** How long a leftover must have been one before it is removed. */
  readonly reapGraceMs: number;
}

/** Brings what the engine has and what the jobs say together: pure judgement in `classify`, the deeds here. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #context: JobContext;
  readonly #store: JobStore;
  readonly #supervisor: Supervisor;
  /** Leftovers by when they were first seen as such, monotonic ms. Only those of the last snapshot. */
  #suspects = new Map<InstanceId, number>();

  constructor(
    options: ReconcilerOptions,
    deps: { context: JobContext; store: JobStore; supervisor: Supervisor },
  ) {
    this.#options = options;
    this.#context = deps.context;
    this.#store = deps.store;
    this.#supervisor = deps.supervisor;
  }

  /** An event says that something ended: look at it at once. */
  noticeEvent(event: RuntimeEvent): void {
    if (event.type !== 'exited' && event.type !== 'removed') return;
    const mark = markOf(event.labels);
    if (mark !== undefined) this.#supervisor.observe(mark.job);
  }

  async reconcile(instances: readonly InstanceSummary[], signal: AbortSignal): Promise<void> {
    const nowMs = this.#context.clock.monotonicMs();
    const suspects = new Map<InstanceId, number>();
    const present = new Set<InstanceId>();
    const actions: Partial<Record<Verdict, number>> = {};
    for (const summary of instances) {
      signal.throwIfAborted();
      present.add(summary.id);
      const sinceMs = this.#suspects.get(summary.id) ?? nowMs;
      try {
        const verdict = await this.#deal(summary);
        if (verdict !== 'leave') actions[verdict] = (actions[verdict] ?? 0) + 1;
        if (verdict !== 'reap') continue;
        suspects.set(summary.id, sinceMs);
        if (nowMs - sinceMs >= this.#options.reapGraceMs) await this.#reap(summary);
      } catch (error) {
        // One that the engine cannot remove or inspect must not keep the others from being looked at.
        if (!(error instanceof RuntimeError) || isEngineAway(error)) throw error;
        this.#context.logger.warn(
          { container_id: summary.id, err: error },
          'container not reconciled, will be tried again',
        );
      }
    }
    this.#suspects = suspects;
    this.#context.telemetry.reconciled(actions);
    for (const job of [...this.#context.log.live()]) {
      if (isUp(job) && job.instance !== undefined && !present.has(job.instance.id))
        this.#supervisor.observe(job.id);
    }
  }

  /** Does what is to be done at once; a leftover is reaped by the caller, once its grace is over. */
  async #deal(summary: InstanceSummary): Promise<Verdict> {
    const mark = markOf(summary.labels);
    if (mark === undefined) return 'leave';
    const job = this.#context.log.get(mark.job);
    const isRemoved = job === undefined && this.#store.tombstone(mark.job) !== undefined;
    const verdict = classify(summary, job, isRemoved);
    if (verdict === 'observe') this.#supervisor.observe(mark.job);
    if (verdict === 'stop') this.#supervisor.stop(mark.job);
    if (verdict === 'import') await this.#import(summary, mark);
    return verdict;
  }

  async #reap(summary: InstanceSummary): Promise<void> {
    // Judged anew, by what it is now: both it and its job may have changed since the list was made.
    const view = await this.#context.driver.inspect(summary.id);
    if (view === undefined || (await this.#deal(view)) !== 'reap') return;
    await this.#context.driver.remove(summary.id);
    this.#context.logger.info(
      { container_id: summary.id, container: summary.name },
      'leftover container removed',
    );
  }

  async #import(summary: InstanceSummary, mark: InstanceMark): Promise<void> {
    const view = await this.#context.driver.inspect(summary.id);
    if (view === undefined) return;
    const draft = importedJob(view, mark);
    const inserted = await this.#context.log.insert(draft);
    if (inserted.kind !== 'inserted') return;
    this.#context.logger.warn(
      { job_id: mark.job, container_id: view.id },
      'container without a job imported',
    );
  }
}

/** The job that a container must once have had, as far as the container itself tells. */
function importedJob(view: InstanceView, mark: InstanceMark): NewJob {
  const {
    idempotency_key: _key,
    wait_ms: _wait,
    placement: _placement,
    ...spec
  } = jobSpecSchema.parse({ image: view.imageId });
  const draft = { id: mark.job, spec, caller: 'import', idempotencyKey: undefined, attempt: mark.attempt };
  const instance = instanceOf(view);
  if (view.exit === undefined) return { ...draft, instance, state: 'running' };
  const outcome = outcomeOfExit(view.exit);
  return { ...draft, instance, outcome, state: view.exit.exitCode === 0 ? 'complete' : 'failed' };
}
