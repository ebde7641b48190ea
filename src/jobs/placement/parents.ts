import { childJobId, type JobId, type NodeId } from '../../kernel/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { JobError } from '../errors.ts';
import { hasEnded, isParent, MAX_CHILDREN, type Job, type JobChild, type JobState } from '../job.ts';
import type { JobLog } from '../job-log.ts';
import type { JobMirror } from '../job-mirror.ts';
import type { Submitted } from '../submissions.ts';
import type { HostedJobs } from './hosting.ts';
import type { Members } from './members.ts';
import type { Delivered, Outbox } from './outbox.ts';
import type { PlacedRequest, PlacementWish } from './outbox-store.ts';
import { advanceChild, nextOfParent } from './parent-state.ts';

export interface ParentsDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: Pick<HostedJobs, 'place' | 'find' | 'wasRemoved'>;
  readonly log: JobLog;
  readonly mirror: Pick<JobMirror, 'find' | 'subscribe'>;
  readonly outbox: Pick<Outbox, 'find' | 'send' | 'end'>;
  readonly members: Members;
  readonly logger: Logger;
}

/** Jobs with copies that may be under way at once: each has as many copies as there are nodes. */
export const MAX_PARENTS = 1_000;

interface Copy {
  readonly parent: JobId;
  readonly node: NodeId;
}

/**
 * Jobs that each node has a copy of. The parent, in this node's log, says which nodes there are and what is known of each copy, and
 * so remembers over a restart what is still to be brought to whom. Each copy is its node's own job.
 */
export class Parents implements Disposable {
  readonly #deps: ParentsDependencies;
  readonly #subscriptions = new DisposableStack();
  readonly #parents = new Set<JobId>();
  /** Of parents that have not ended. */
  readonly #copies = new Map<JobId, Copy>();
  #isClosed = false;

  /** Takes up what an earlier life of this node has left. */
  constructor(deps: ParentsDependencies) {
    this.#deps = deps;
    this.#subscriptions.use(
      deps.log.subscribe((event, after, before) => {
        const job = after ?? before;
        if (job !== undefined && isParent(job)) this.#follow(job.id, after, before);
        else this.#heard(event.jobId, deps.owner, after);
      }),
    );
    this.#subscriptions.use(
      deps.mirror.subscribe((event, owner, after) => this.#heard(event.jobId, owner, after)),
    );
    for (const job of [...deps.log.live()]) if (isParent(job)) this.#takeUp(job);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#subscriptions.dispose();
  }

  /** Accepts a job with a copy on this node and on each other that is there now. See `Jobs.create`. */
  async create(id: JobId, request: PlacedRequest): Promise<Submitted> {
    const { owner, jobs, members } = this.#deps;
    if (this.#parents.size >= MAX_PARENTS) throw tooMany();
    const nodes = [...new Set([owner, ...members.connected(), ...members.present()])].slice(0, MAX_CHILDREN);
    const children = nodes.map((node): JobChild => ({ node, state: 'pending', isDelivered: false }));
    return jobs.place({ id, ...request, children });
  }

  /** After each commit. */
  #follow(id: JobId, after: Job | undefined, before: Job | undefined): void {
    if (after === undefined || hasEnded(after)) {
      this.#forget(id, after ?? before);
      if (after === undefined && before !== undefined) this.#removeCopies(before);
      return;
    }
    if (before === undefined) return this.#takeUp(after);
    if (after.desire !== before.desire || after.outcome !== before.outcome) this.#push(after);
  }

  #takeUp(job: Job): void {
    this.#parents.add(job.id);
    for (const { node } of job.children ?? [])
      this.#copies.set(childJobId(job.id, node), { parent: job.id, node });
    this.#look(job);
    this.#push(job);
  }

  #forget(id: JobId, job: Job | undefined): void {
    this.#parents.delete(id);
    for (const { node } of job?.children ?? []) this.#copies.delete(childJobId(id, node));
  }

  /** What was heard of the copies while nobody listened. */
  #look(job: Job): void {
    const { owner, jobs, mirror } = this.#deps;
    for (const { node } of job.children ?? []) {
      const id = childJobId(job.id, node);
      const known = node === owner ? jobs.find(id) : mirror.find(id)?.job;
      if (known?.owner === node) this.#heard(id, node, known);
      else if (node === owner && jobs.wasRemoved(id)) this.#heard(id, node, undefined);
    }
    this.#change(job.id, undefined, {});
  }

  /** `job` is undefined when it was removed. */
  #heard(id: JobId, owner: NodeId, job: Job | undefined): void {
    const copy = this.#copies.get(id);
    if (copy?.node !== owner) return;
    this.#change(copy.parent, owner, { isDelivered: true, state: job?.state ?? 'cancelled' });
  }

  /** Brings to each node what it does not have yet: its copy, or the wish that it ends. */
  #push(job: Job): void {
    if (job.outcome?.reason === 'duplicate') return this.#change(job.id, undefined, {});
    for (const child of job.children ?? []) {
      if (hasEnded(child)) continue;
      if (job.desire === 'run' && child.isDelivered) continue;
      void this.#deliver(job, child.node, job.desire === 'run' ? 'run' : 'end');
    }
    this.#change(job.id, undefined, {});
  }

  async #deliver(job: Job, node: NodeId, wish: PlacementWish): Promise<void> {
    const { outbox, log, logger } = this.#deps;
    const id = childJobId(job.id, node);
    try {
      if (wish !== 'run' && outbox.find(id) !== undefined) return await outbox.end(id, false);
      const { spec, caller } = job;
      const request = { spec, caller, idempotencyKey: undefined, parent: job.id };
      const placement = { id, target: node, createdAtMs: job.createdAtMs, wish, request };
      const sent = await outbox.send(placement, { isRemembered: true, insists: true });
      const delivered = await sent.delivered;
      this.#change(job.id, node, heardOf(delivered), noteOf(node, delivered));
      // It was told otherwise while the copy was on its way.
      const now = log.liveJob(job.id);
      if (wish === 'run' && delivered.kind === 'accepted' && now !== undefined && now.desire !== 'run')
        await this.#deliver(now, node, 'end');
    } catch (error) {
      logger.error({ job_id: id, peer: node, err: error }, 'copy not delivered');
    }
  }

  /** The copies of a removed job go with it; those of a node that is away, when it is back. */
  #removeCopies({ id: parent, children = [], spec, caller, createdAtMs, outcome }: Job): void {
    if (this.#isClosed || outcome?.reason === 'duplicate') return;
    const request = { spec: { ...spec, env: {} }, caller, idempotencyKey: undefined, parent };
    for (const { node } of children) {
      const placement = {
        id: childJobId(parent, node),
        target: node,
        createdAtMs,
        wish: 'remove' as const,
        request,
      };
      this.#deps.outbox.send(placement).catch((error: unknown) => {
        // Each goes in its own time then.
        this.#deps.logger.warn(
          { job_id: placement.id, peer: node, err: error },
          'copy not removed with its job',
        );
      });
    }
  }

  /** Records what was heard of a copy, and what follows for the whole. */
  #change(parent: JobId, node: NodeId | undefined, heard: Partial<JobChild>, note?: string): void {
    this.#record(parent, node, heard, note).catch((error: unknown) => {
      const isGone = error instanceof JobError && error.code === 'not_found';
      if (!this.#isClosed && !isGone)
        this.#deps.logger.error({ job_id: parent, err: error }, 'change of a copy not recorded');
    });
  }

  async #record(
    parent: JobId,
    node: NodeId | undefined,
    heard: Partial<JobChild>,
    note: string | undefined,
  ): Promise<void> {
    const { log } = this.#deps;
    if (node !== undefined) {
      await log.change(parent, (job) => {
        if (hasEnded(job) || job.children === undefined) return undefined;
        const before = job.children.find((child) => child.node === node);
        if (before === undefined) return undefined;
        const after = advanceChild(before, heard);
        if (after.state === before.state && after.isDelivered === before.isDelivered) return undefined;
        const children = job.children.map((child) => (child === before ? after : child));
        return { patch: { children }, note: note ?? `copy on node ${node}: ${after.state}` };
      });
    }
    for (let hasMoved = true; hasMoved;) {
      await log.change(parent, (job) => {
        const step = nextOfParent(job);
        hasMoved = step !== undefined;
        return step;
      });
    }
  }
}

function heardOf(delivered: Delivered): { readonly isDelivered: true; readonly state: JobState } {
  switch (delivered.kind) {
    case 'accepted':
      return { isDelivered: true, state: delivered.job.state };
    case 'ended':
      return { isDelivered: true, state: delivered.job?.state ?? 'cancelled' };
    case 'refused':
      return { isDelivered: true, state: 'failed' };
  }
}

function noteOf(node: NodeId, delivered: Delivered): string | undefined {
  return delivered.kind === 'refused'
    ? `copy on node ${node}: refused, ${delivered.error.message}`
    : undefined;
}

function tooMany(): JobError {
  return new JobError('queue_full', `${MAX_PARENTS} jobs with a copy on each node are under way already`, {
    details: { limit: MAX_PARENTS },
    retryable: true,
    retryAfterMs: 1_000,
  });
}
