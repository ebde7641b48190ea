import { sleep, type Clock } from '../../kernel/clock.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import { CodedError } from '../../kernel/errors.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { JobError } from '../errors.ts';
import { isDuplicate, type Job } from '../job.ts';
import type { JobMirror } from '../job-mirror.ts';
import { askAbout, isMeant, type KeyedSpec, type SpecQuestion } from './fingerprint.ts';
import type { Claim, ClaimAnswer } from './host.ts';
import type { Members } from './members.ts';
import type { Outbox } from './outbox.ts';

/** How long all peers together are given to say whether they have the job of a key, ms. One that does not answer does not hinder. */
const ASK_LIMIT_MS = 1_000;
/** Before a peer that serves too many calls is asked again, within that time, ms. */
const BUSY_PAUSE_MS = 100;
/** How long a node that goes ahead is waited for, ms: its own question, and the commit. */
const WAIT_LIMIT_MS = 5_000;
/** When one that had to give up waiting may come again, ms. */
const RETRY_AFTER_MS = 1_000;

/** Asks one node what it knows of a claim. */
export type AskClaim = (node: NodeId, claim: Claim, signal: AbortSignal) => Promise<ClaimAnswer>;

export interface ClaimsDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: { find(id: JobId): Job | undefined; wasRemoved(id: JobId): boolean };
  readonly mirror: Pick<JobMirror, 'find' | 'wasRemoved'>;
  readonly outbox: Pick<Outbox, 'find'>;
  readonly members: Pick<Members, 'connected'>;
  readonly ask: AskClaim;
  readonly clock: Clock;
}

interface Pending {
  /** All that could be asked has answered: this node accepts the job. */
  isDecided: boolean;
  /** Nodes of a lower id that were let go ahead. */
  readonly rivals: Set<NodeId>;
  readonly over: PromiseWithResolvers<void>;
}

/** What is known of a key before this node accepts a job for it. */
export type ClaimFound =
  | { readonly kind: 'known'; readonly job: Job }
  | { readonly kind: 'placed'; readonly id: JobId; readonly target: NodeId };

/**
 * Sees to it that one idempotency key makes one job among the nodes that reach each other. Each is asked before a job of a key
 * is accepted; of two that are asked for the same at the same time the one goes ahead that has decided, else the lower id.
 */
export class Claims {
  readonly #deps: ClaimsDependencies;
  readonly #pending = new Map<JobId, Pending>();

  constructor(deps: ClaimsDependencies) {
    this.#deps = deps;
  }

  /**
   * Runs `accept` when no other node has the job, or `found` with what there is. Those who come with the same key meanwhile
   * wait for it. Fails with `idempotency_conflict`, with `peer_unreachable` when only a node that does not answer can tell,
   * and with the reason of the signal.
   */
  async run<T>(
    id: JobId,
    keyed: KeyedSpec,
    then: { readonly accept: () => Promise<T>; readonly found: (found: ClaimFound) => Promise<T> },
    signal: AbortSignal,
  ): Promise<T> {
    for (;;) {
      if (this.#hasOwn(id)) return then.accept();
      const earlier = this.#pending.get(id);
      if (earlier === undefined) break;
      await abortable(earlier.over.promise, signal);
    }
    const pending: Pending = { isDecided: false, rivals: new Set(), over: Promise.withResolvers() };
    this.#pending.set(id, pending);
    try {
      const found = await this.#search(id, keyed, pending, signal);
      if (found !== undefined) return await then.found(found);
      return await then.accept();
    } finally {
      this.#pending.delete(id);
      pending.over.resolve();
    }
  }

  /** Tells another node what this one knows of a claim. */
  async answer(claim: Claim, from: NodeId, signal: AbortSignal): Promise<ClaimAnswer> {
    const { jobs, outbox, owner } = this.#deps;
    const job = this.#hasOwn(claim.id) ? jobs.find(claim.id) : undefined;
    if (job !== undefined) return { kind: 'known', job, isSame: isMeant(job, claim) };
    // Who gives it to a node goes on asking that for as long as it takes.
    const placed = outbox.find(claim.id);
    if (placed !== undefined) return placedAnswer(placed.target, isMeant(placed.request, claim));
    const pending = this.#pending.get(claim.id);
    if (pending === undefined) return this.#wasRemoved(claim.id) ? REMOVED : { kind: 'none' };
    if (claim.waits) {
      await abortable(pending.over.promise, signal);
      return this.answer({ ...claim, waits: false }, from, signal);
    }
    if (pending.isDecided || from > owner) return { kind: 'pending', isAhead: true };
    pending.rivals.add(from);
    return { kind: 'pending', isAhead: false };
  }

  /** One that gave way to another node's job is not the one that is meant. */
  #hasOwn(id: JobId): boolean {
    const own = this.#deps.jobs.find(id);
    return own !== undefined && !isDuplicate(own);
  }

  /** It was here, or on a node that told of it, and nobody who told of it has it. */
  #wasRemoved(id: JobId): boolean {
    const { jobs, mirror } = this.#deps;
    return jobs.wasRemoved(id) || mirror.wasRemoved(id);
  }

  async #search(
    id: JobId,
    keyed: KeyedSpec,
    pending: Pending,
    signal: AbortSignal,
  ): Promise<ClaimFound | undefined> {
    const { mirror, outbox, members } = this.#deps;
    const question = askAbout(keyed);
    const placed = outbox.find(id);
    if (placed !== undefined)
      return this.#foundIn(id, placedAnswer(placed.target, isMeant(placed.request, question)));
    const mirrored = mirror.find(id);
    if (mirrored !== undefined && !isDuplicate(mirrored.job)) {
      const found = await this.#askOwner(mirrored.job, question, signal);
      if (found !== undefined) return found;
    }
    const waitedFor = new Set<NodeId>();
    for (;;) {
      const answers = await this.#askAll(id, question, members.connected(), signal);
      const own: readonly ClaimAnswer[] = this.#wasRemoved(id) ? [REMOVED] : [];
      const found = this.#firstFound(id, [...answers.values(), ...own]);
      if (found !== undefined) return found;
      const ahead = [...answers.keys()].filter((node) => isAhead(answers.get(node)));
      // One that was let go ahead meanwhile, too.
      const first = [...ahead, ...pending.rivals].filter((node) => !waitedFor.has(node)).sort()[0];
      if (first === undefined) {
        const [slow] = ahead;
        if (slow !== undefined) throw stillAhead(id, slow);
        // At once: whoever asks from now on has to wait.
        pending.isDecided = true;
        return undefined;
      }
      waitedFor.add(first);
      const answer = await this.#ask(first, { id, ...question, waits: true }, WAIT_LIMIT_MS, signal);
      const told = answer === undefined ? undefined : this.#foundIn(id, answer);
      if (told !== undefined) return told;
    }
  }

  /** Only the owner can tell whether the spec is the same. */
  async #askOwner(job: Job, question: SpecQuestion, signal: AbortSignal): Promise<ClaimFound | undefined> {
    const { id, owner } = job;
    const answer = await this.#ask(owner, { id, ...question, waits: false }, ASK_LIMIT_MS, signal);
    if (answer !== undefined) return this.#foundIn(id, answer);
    const message = `the idempotency key belongs to job ${id} of node ${owner}, which does not answer, so that nobody can tell whether the spec is the same; ask again, or see the status of that job`;
    throw new JobError('peer_unreachable', message, {
      details: { job_id: id, node_id: owner },
      retryable: true,
    });
  }

  async #askAll(
    id: JobId,
    question: SpecQuestion,
    nodes: readonly NodeId[],
    signal: AbortSignal,
  ): Promise<Map<NodeId, ClaimAnswer>> {
    const answers = new Map<NodeId, ClaimAnswer>();
    const claim: Claim = { id, ...question, waits: false };
    await Promise.all(
      nodes.map(async (node) => {
        const answer = await this.#ask(node, claim, ASK_LIMIT_MS, signal);
        if (answer !== undefined) answers.set(node, answer);
      }),
    );
    return answers;
  }

  /** `undefined` when there is no answer in time. One that serves too many calls is asked again within it. */
  async #ask(
    node: NodeId,
    claim: Claim,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<ClaimAnswer | undefined> {
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs });
    for (;;) {
      try {
        return await abortable(this.#deps.ask(node, claim, limited.signal), limited.signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof CodedError && error.code === 'busy')) return undefined;
      }
      await sleep(this.#deps.clock, BUSY_PAUSE_MS, limited.signal).catch(() => signal.throwIfAborted());
      if (limited.isTimedOut) return undefined;
    }
  }

  #firstFound(id: JobId, answers: Iterable<ClaimAnswer>): ClaimFound | undefined {
    // What runs somewhere says more than that it was removed elsewhere.
    const order = ['known', 'placed', 'removed'];
    const told = [...answers].filter(({ kind }) => order.includes(kind));
    told.sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind) || byOwner(one, other));
    const [first] = told;
    return first === undefined ? undefined : this.#foundIn(id, first);
  }

  #foundIn(id: JobId, answer: ClaimAnswer): ClaimFound | undefined {
    switch (answer.kind) {
      case 'known':
        if (!answer.isSame) throw otherSpec(id, answer.job.owner);
        return { kind: 'known', job: answer.job };
      case 'placed':
        if (!answer.isSame) throw otherSpec(id, answer.target);
        if (answer.target === this.#deps.owner) return undefined;
        return { kind: 'placed', id, target: answer.target };
      case 'removed':
        throw new JobError(
          'idempotency_conflict',
          `the idempotency key belongs to job ${id}, which was removed; use a new key to run it again`,
          { details: { job_id: id, removed: true } },
        );
      case 'none':
      case 'pending':
        return undefined;
    }
  }
}

const REMOVED: ClaimAnswer = { kind: 'removed' };

function isAhead(answer: ClaimAnswer | undefined): boolean {
  return answer?.kind === 'pending' && answer.isAhead;
}

function placedAnswer(target: NodeId, isSame: boolean): ClaimAnswer {
  return { kind: 'placed', target, isSame };
}

/** Where both sides of a partition accepted it, the lowest owner's counts. */
function byOwner(one: ClaimAnswer, other: ClaimAnswer): number {
  if (one.kind !== 'known' || other.kind !== 'known') return 0;
  return one.job.owner < other.job.owner ? -1 : 1;
}

/** To accept it as well would make a second job. */
function stillAhead(id: JobId, node: NodeId): JobError {
  return new JobError(
    'peer_unreachable',
    `node ${node} is about to accept job ${id} for the same idempotency key, and does not get there; ask again`,
    { details: { job_id: id, node_id: node }, retryable: true, retryAfterMs: RETRY_AFTER_MS },
  );
}

function otherSpec(id: JobId, node: NodeId): JobError {
  return new JobError(
    'idempotency_conflict',
    `the idempotency key was used for job ${id} of node ${node} with another spec; use a new key`,
    { details: { job_id: id, node_id: node } },
  );
}
