import type { Clock } from '../../kernel/clock.ts';
import { jobIdOfKey, newJobId, type JobId, type NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import { JobError } from '../errors.ts';
import { CANCELLED, isDuplicate, type Job } from '../job.ts';
import type { JobMirror, MirroredJob } from '../job-mirror.ts';
import type { JobRequest } from '../spec.ts';
import { refuseWhenFull, type Submitted } from '../submissions.ts';
import { bestNodes, type AskBid } from './bids.ts';
import type { ClaimFound, Claims } from './claims.ts';
import type { PlacementHost } from './host.ts';
import type { HostedJobs } from './hosting.ts';
import type { Members } from './members.ts';
import type { Outbox } from './outbox.ts';
import type { PlacedRequest, Placement } from './outbox-store.ts';
import type { Parents } from './parents.ts';

/** How long a Create waits for the node that is to run the job, ms. It is asked on after that. */
const ANSWER_LIMIT_MS = 10_000;

export interface PlacementsDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: Pick<HostedJobs, 'create' | 'find'>;
  readonly host: Pick<PlacementHost, 'bid'>;
  readonly claims: Claims;
  readonly outbox: Outbox;
  readonly parents: Pick<Parents, 'create'>;
  readonly members: Pick<Members, 'connected'>;
  readonly mirror: Pick<JobMirror, 'observe'>;
  readonly askBid: AskBid;
  readonly clock: Clock;
  readonly telemetry: Pick<Telemetry, 'jobPlaced'>;
}

/** Lets a job be accepted where it is to run: here, on one other node, or on each. */
export class Placements {
  readonly #deps: PlacementsDependencies;

  constructor(deps: PlacementsDependencies) {
    this.#deps = deps;
  }

  /** Whether a Create is for this node alone to decide. */
  isLocal({ placement, idempotency_key: key }: JobRequest): boolean {
    if (placement !== undefined && placement !== 'local' && placement !== this.#deps.owner) return false;
    // The job of a key may be another node's, though none is there to be asked just now.
    return key === undefined;
  }

  /** Jobs on their way to other nodes, as far as they are known here; not those that are removed. */
  all(): MirroredJob[] {
    const placements = this.#deps.outbox.placements().filter(({ wish }) => wish !== 'remove');
    return placements.map((placement) => this.#observed(placement));
  }

  /** A job on its way to another node, as far as it is known here. */
  find(id: JobId): MirroredJob | undefined {
    const placement = this.#deps.outbox.find(id);
    return placement === undefined ? undefined : this.#observed(placement);
  }

  /** Resolves when a job is not on its way any more. Fails with `timeout` after `limitMs`. */
  async arrival(id: JobId, limitMs: number, signal: AbortSignal): Promise<void> {
    const { outbox, clock } = this.#deps;
    const placement = outbox.find(id);
    if (placement === undefined) return;
    using limited = new LinkedSignal([signal], { clock, limitMs: Math.max(1, limitMs) });
    try {
      await outbox.answer(id)?.wait(limited.signal);
    } catch (error) {
      if (!limited.isTimedOut) throw error;
      const message = `job ${id} is on its way to node ${placement.target} still, which does not answer`;
      throw new JobError('timeout', message, {
        details: { job_id: id, node_id: placement.target },
        retryable: true,
      });
    }
  }

  /**
   * Ends a job on its way, wherever it has come to, and with `removes` forgets it. Resolves with the job when its node has done
   * so, and with nothing when the job is its node's to end: it has arrived. Fails with `peer_unreachable` when the node does
   * not answer in time: it is done all the same as soon as it can be.
   */
  async end(id: JobId, removes: boolean, signal: AbortSignal): Promise<Job | undefined> {
    const { outbox, clock } = this.#deps;
    const placement = outbox.find(id);
    if (placement === undefined) return undefined;
    const { target } = placement;
    const answer = outbox.answer(id);
    await outbox.end(id, removes).catch(refuseWhenFull);
    using limited = new LinkedSignal([signal], { clock, limitMs: ANSWER_LIMIT_MS });
    try {
      const delivered = await answer?.wait(limited.signal);
      if (delivered?.kind !== 'ended') return undefined;
      return delivered.job ?? neverRun(placement, clock.wallMs());
    } catch {
      throw new JobError(
        'peer_unreachable',
        `node ${target}, which job ${id} was on its way to, does not answer; the job is ended there as soon as it does`,
        { details: { job_id: id, node_id: target } },
      );
    }
  }

  /**
   * See `Jobs.create`; does not wait until it runs. Fails with `peer_unreachable` also when the node does not answer in time that is to run the
   * job: then it goes on being asked, and whether it has accepted the job is told by the job's status.
   */
  async create(request: JobRequest, caller: string, signal: AbortSignal): Promise<Submitted> {
    const { wait_ms: _wait, ...asked } = request;
    const { idempotency_key: idempotencyKey, placement = 'local', ...spec } = asked;
    const here = (): Promise<Submitted> => this.#here(asked, caller);
    if (idempotencyKey === undefined) {
      const id = newJobId(this.#deps.clock.wallMs());
      return this.#place(id, { spec, caller, idempotencyKey }, placement as Place, { here, signal });
    }
    const id = jobIdOfKey(caller, idempotencyKey);
    if (this.#deps.jobs.find(id) !== undefined && this.#ownCounts(id)) return here();
    const placed: PlacedRequest = { spec, caller, idempotencyKey };
    const accept = (): Promise<Submitted> =>
      this.#ownCounts(id) ? here() : this.#place(id, placed, placement as Place, { here, signal });
    const found = (what: ClaimFound): Promise<Submitted> => this.#deduplicate(what, placed, signal);
    return this.#deps.claims.run(id, placed, { accept, found }, signal);
  }

  #observed(placement: Placement): MirroredJob {
    const { clock, mirror } = this.#deps;
    const { ageMs, isLost } = mirror.observe(placement.target);
    const heard = Number.isFinite(ageMs) ? ageMs : Math.max(0, clock.wallMs() - placement.createdAtMs);
    return { job: placedJob(placement), ageMs: heard, isLost };
  }

  #ownCounts(id: JobId): boolean {
    const own = this.#deps.jobs.find(id);
    return own !== undefined && !isDuplicate(own);
  }

  async #deduplicate(found: ClaimFound, request: PlacedRequest, signal: AbortSignal): Promise<Submitted> {
    this.#deps.telemetry.jobPlaced('deduplicated');
    if (found.kind === 'known') return { job: found.job, deduplicated: true };
    // The node that it goes to takes it once, whoever sends it.
    const submitted = orThrow(await this.#give(found.id, request, found.target, { signal }));
    return { ...submitted, deduplicated: true };
  }

  async #place(
    id: JobId,
    request: PlacedRequest,
    placement: Place,
    { here, signal }: { readonly here: () => Promise<Submitted>; readonly signal: AbortSignal },
  ): Promise<Submitted> {
    const { owner, members, telemetry } = this.#deps;
    if (placement === 'local' || placement === owner) return here();
    if (placement === 'every') return this.#placeEverywhere(id, request);
    if (placement === 'any') return this.#placeAnywhere(id, request, { here, signal });
    if (!members.connected().includes(placement)) {
      telemetry.jobPlaced('unreachable');
      throw notConnected(placement);
    }
    return orThrow(await this.#give(id, request, placement, { signal }));
  }

  async #placeEverywhere(id: JobId, request: PlacedRequest): Promise<Submitted> {
    const submitted = await this.#deps.parents.create(id, request);
    this.#deps.telemetry.jobPlaced(submitted.deduplicated ? 'deduplicated' : 'everywhere');
    return submitted;
  }

  async #placeAnywhere(
    id: JobId,
    request: PlacedRequest,
    { here, signal }: { readonly here: () => Promise<Submitted>; readonly signal: AbortSignal },
  ): Promise<Submitted> {
    const { owner, members, host, askBid, clock } = this.#deps;
    const ask: AskBid = (node, image, limit) =>
      node === owner ? host.bid(image, limit) : askBid(node, image, limit);
    const nodes = [owner, ...members.connected()];
    const ranked = await bestNodes(nodes, request.spec.image, { ask, clock, signal });
    let refusal: JobError | undefined;
    for (const node of ranked) {
      try {
        if (node === owner) return await here();
        const given = await this.#give(id, request, node, { signal, hasOthers: true });
        if (given.kind === 'accepted') return given.submitted;
        if (!given.isCertain) throw given.error;
        refusal = given.error;
      } catch (error) {
        if (node !== owner || !(error instanceof JobError)) throw error;
        refusal = error;
      }
      if (!refusal.retryable) throw refusal;
    }
    // Nobody would: then what keeps this node from it is the answer.
    if (refusal === undefined || !ranked.includes(owner)) return here();
    throw refusal;
  }

  async #here(request: JobRequest, caller: string): Promise<Submitted> {
    const submitted = await this.#deps.jobs.create({ ...request, placement: 'local' }, caller);
    this.#deps.telemetry.jobPlaced(submitted.deduplicated ? 'deduplicated' : 'here');
    return submitted;
  }

  /** First what is to be done is made durable, then it is done: nobody knows otherwise whom to ask when this node dies. */
  async #give(
    id: JobId,
    request: PlacedRequest,
    target: NodeId,
    { signal, hasOthers = false }: { readonly signal: AbortSignal; readonly hasOthers?: boolean },
  ): Promise<Given> {
    const { outbox, clock, telemetry } = this.#deps;
    const placement: Placement = { id, target, createdAtMs: clock.wallMs(), wish: 'run', request };
    const answer = await outbox.send(placement, { hasOthers }).catch(refuseWhenFull);
    using limited = new LinkedSignal([signal], { clock, limitMs: ANSWER_LIMIT_MS });
    const delivered = await answer.wait(limited.signal).catch(() => undefined);
    switch (delivered?.kind) {
      case 'accepted':
        telemetry.jobPlaced('there');
        return { kind: 'accepted', submitted: delivered };
      case 'refused':
        telemetry.jobPlaced('refused');
        return delivered;
      case 'ended':
        telemetry.jobPlaced('there');
        throw new JobError(
          'cancelled',
          `job ${id} was ended before node ${target} could tell that it has it`,
          {
            details: { job_id: id, node_id: target },
          },
        );
      case undefined:
        telemetry.jobPlaced('unknown');
        throw notAnswered(id, target);
    }
  }
}

type Place = 'local' | 'any' | 'every' | NodeId;

type Given =
  | { readonly kind: 'accepted'; readonly submitted: Submitted }
  | { readonly kind: 'refused'; readonly error: JobError; readonly isCertain: boolean };

function orThrow(given: Given): Submitted {
  if (given.kind === 'refused') throw given.error;
  return given.submitted;
}

function placedJob({ id, target, createdAtMs, wish, request }: Placement): Job {
  return {
    id,
    owner: target,
    epoch: 0,
    seq: 0,
    ...request,
    state: 'pending',
    desire: wish === 'run' ? 'run' : 'cancel',
    attempt: 1,
    restarts: 0,
    instance: undefined,
    outcome: undefined,
    createdAtMs,
    updatedAtMs: createdAtMs,
    runningAtMs: undefined,
    finishedAtMs: undefined,
    notBeforeMs: undefined,
    stopGraceMs: undefined,
  };
}

function neverRun(placement: Placement, nowMs: number): Job {
  const job = placedJob(placement);
  return { ...job, state: 'cancelled', outcome: CANCELLED, updatedAtMs: nowMs, finishedAtMs: nowMs };
}

function notConnected(node: NodeId): JobError {
  return new JobError(
    'peer_unreachable',
    `node ${node} is not connected to this one; nothing was accepted, choose another or ask again`,
    { details: { node_id: node }, retryable: true },
  );
}

/** Not to be tried again: another job would be made. */
function notAnswered(id: JobId, node: NodeId): JobError {
  return new JobError(
    'peer_unreachable',
    `node ${node} does not answer, so whether it has accepted job ${id} is not known yet; it is asked until it answers, and \`container-manager status ${id}\` tells`,
    { details: { job_id: id, node_id: node } },
  );
}
