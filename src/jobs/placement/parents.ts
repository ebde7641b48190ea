import { childJobId, type JobId, type NodeId } from '../../kernel/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { JobError } from '../errors.ts';
import {
  hasEnded,
  isDuplicate,
  isParent,
  MAX_CHILDREN,
  type Job,
  type JobChild,
  type JobState,
} from '../job.ts';
import type { JobLog } from '../job-log.ts';
import type { JobMirror } from '../job-mirror.ts';
import type { Submitted } from '../submissions.ts';
import { shortened } from '../record.ts';
import { MAX_MESSAGE_LENGTH } from '../record-shape.ts';
import type { Delivered } from './delivery.ts';
import type { HostedJobs } from './hosting.ts';
import type { Members } from './members.ts';
import type { Outbox } from './outbox.ts';
import type { PlacedRequest, Placement, PlacementWish } from './outbox-store.ts';
import { advanceChild, nextOfParent } from './parent-state.ts';

export interface ParentsDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: Pick<HostedJobs, 'place' | 'find' | 'wasRemoved'>;
  readonly log: JobLog;
  readonly mirror: Pick<JobMirror, 'find' | 'subscribe'>;
  readonly outbox: Pick<Outbox, 'find' | 'send' | 'end' | 'giveUp'>;
  readonly members: Pick<Members, 'connected'>;
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

  constructor(deps: ParentsDependencies) {
    this.#deps = deps;
  }

  /** Takes up what an earlier life of this node has left, and listens from then on. Once, before any is created. */
  resume(): void {
    const deps = this.#deps;
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

  /** Accepts a job with a copy on this node and on each other that can be asked now. See `Jobs.create`. */
  async create(id: JobId, request: PlacedRequest): Promise<Submitted> {
    const { owner, jobs, members } = this.#deps;
    if (this.#parents.size >= MAX_PARENTS) throw tooMany();
    const nodes = [owner, ...members.connected()].slice(0, MAX_CHILDREN);
    const children = nodes.map((node): JobChild => ({ node, state: 'pending', isDelivered: false }));
    return jobs.place({ id, ...request, children });
  }

  /** A node will not return, and nobody will hear what became of its copies. */
  forget(node: NodeId): void {
    for (const copy of this.#copies.values())
      if (copy.node === node) this.#change(copy.parent, node, { isDelivered: true, state: 'cancelled' });
  }

  /** After each commit. */
  #follow(id: JobId, after: Job | undefined, before: Job | undefined): void {
    if (after !== undefined && isDuplicate(after) && !(before !== undefined && isDuplicate(before)))
      this.#yield(after);
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
    if (isDuplicate(job)) return this.#change(job.id, undefined, {});
    for (const child of job.children ?? []) {
      if (hasEnded(child)) continue;
      if (job.desire === 'run' && child.isDelivered) continue;
      void this.#deliver(job, child.node, job.desire === 'run' ? 'run' : 'end');
    }
    this.#change(job.id, undefined, {});
  }

  /**
   * The copies of a job that counts are its node's business, and no more asked for here; those that only this one has end. What
   * only this node remembers is in the outbox from now on, since the parent ends at once.
   */
  #yield(job: Job): void {
    const { outbox, logger } = this.#deps;
    const own = this.#ownCopies(job);
    for (const { node } of job.children ?? []) {
      if (own.includes(node)) void this.#deliver(job, node, 'end');
      else
        outbox.giveUp(childJobId(job.id, node)).catch((error: unknown) => {
          logger.error({ job_id: job.id, peer: node, err: error }, 'copy not given up');
        });
    }
  }

  /** Nodes whose copies no other parent of the same id has. Where nothing is known of that parent, none is taken from it. */
  #ownCopies(job: Job): readonly NodeId[] {
    const nodes = (job.children ?? []).map(({ node }) => node);
    if (!isDuplicate(job)) return nodes;
    const keeper = this.#deps.mirror.find(job.id)?.job;
    // A record that would be too long says only that there are copies.
    const isKnown = keeper !== undefined && !(keeper.isAbridged === true && keeper.children?.length === 0);
    if (!isKnown) return [];
    return nodes.filter((node) => keeper.children?.some((child) => child.node === node) !== true);
  }

  async #deliver(job: Job, node: NodeId, wish: PlacementWish): Promise<void> {
    const { outbox, log, logger } = this.#deps;
    const placement = copyOf(job, node, wish);
    const { id } = placement;
    const { stopGraceMs: graceMs } = job;
    try {
      if (wish !== 'run' && outbox.find(id) !== undefined) return await outbox.end(id, false, graceMs);
      const options = { isRemembered: !isDuplicate(job), insists: true, graceMs };
      const answer = await outbox.send(placement, options);
      const delivered = await answer.wait();
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
  #removeCopies(job: Job): void {
    if (this.#isClosed) return;
    const { outbox, logger } = this.#deps;
    for (const node of this.#ownCopies(job)) {
      const placement = copyOf(job, node, 'remove');
      const { id } = placement;
      const removing = outbox.find(id) === undefined ? outbox.send(placement) : outbox.end(id, true);
      removing.catch((error: unknown) => {
        // Each goes in its own time then.
        logger.warn({ job_id: id, peer: node, err: error }, 'copy not removed with its job');
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

/** What its node is to be told of a copy: all of the spec only where it is to run it. */
function copyOf(
  { id: parent, spec, caller, createdAtMs }: Job,
  node: NodeId,
  wish: PlacementWish,
): Placement {
  const told = wish === 'run' ? spec : { ...spec, env: {} };
  const request = { spec: told, caller, idempotencyKey: undefined, parent };
  return { id: childJobId(parent, node), target: node, createdAtMs, wish, request };
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
  if (delivered.kind !== 'refused') return undefined;
  return shortened(`copy on node ${node}: refused, ${delivered.error.message}`, MAX_MESSAGE_LENGTH);
}

function tooMany(): JobError {
  return new JobError('queue_full', `${MAX_PARENTS} jobs with a copy on each node are under way already`, {
    details: { limit: MAX_PARENTS },
    retryable: true,
    retryAfterMs: 1_000,
  });
}
