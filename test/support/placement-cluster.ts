import type { CallCarrier } from '../../src/jobs/carried/call-carrier.ts';
import { decodeRequest, type CarriedRequest } from '../../src/jobs/carried/requests.ts';
import { carriedCallHandler } from '../../src/jobs/serve-calls.ts';
import { ClusterJobs } from '../../src/jobs/cluster-jobs.ts';
import { hasEnded, type Job } from '../../src/jobs/job.ts';
import { JobPlacement } from '../../src/jobs/placement/job-placement.ts';
import type { Members } from '../../src/jobs/placement/members.ts';
import { decodeRecord, encodeRecord } from '../../src/jobs/record.ts';
import { jobSpecSchema } from '../../src/jobs/spec.ts';
import { sleep, systemClock, type Clock } from '../../src/kernel/clock.ts';
import { CodedError } from '../../src/kernel/errors.ts';
import type { JobId, NodeId } from '../../src/kernel/ids.ts';
import { abortable } from '../../src/kernel/single-flight.ts';
import { PeerError } from '../../src/peers/errors.ts';
import { PeerCallError } from '../../src/peers/calls.ts';
import { SILENT_LOGGER } from '../../src/telemetry/logger.ts';
import { NO_TELEMETRY } from '../../src/telemetry/telemetry.ts';
import { FakeMirror } from './fake-mirror.ts';
import { JobHarness, TEST_IMAGE, type HarnessOptions } from './job-harness.ts';

/** What becomes of a call: it gets through, is never sent, is lost on its way there, or its answer is, or neither is ever heard of. */
export type Fate = 'through' | 'unsent' | 'lost' | 'answer-lost' | 'silence';

/** A node with jobs of its own, and what it needs of the others. */
export class PlacementNode {
  readonly harness: JobHarness;
  readonly mirror = new FakeMirror();
  readonly placement: JobPlacement;
  readonly jobs: ClusterJobs;
  readonly handler: ReturnType<typeof carriedCallHandler>;
  readonly #told: Disposable;

  constructor(harness: JobHarness, cluster: PlacementCluster) {
    this.harness = harness;
    const { owner } = harness;
    const carrier: CallCarrier = {
      call: (node, request, signal) => cluster.call(owner, node, request, signal),
    };
    const { jobs: own, log, store, driver, gate: engine } = harness;
    const shared = { owner, mirror: this.mirror, carrier, clock: cluster.clock };
    this.placement = new JobPlacement({
      ...shared,
      ...{ jobs: own, log, store, driver, engine },
      members: cluster.membersOf(owner),
      logger: SILENT_LOGGER,
      telemetry: NO_TELEMETRY,
    });
    const { placements } = this.placement;
    this.jobs = new ClusterJobs({ ...shared, own, maxWaitMs: 60_000, placements });
    this.handler = carriedCallHandler(own, this.placement.host);
    this.#told = log.subscribe((_event, after, before) => cluster.tell(owner, after, before));
  }

  /** Its jobs are known: it may be given others, and gives. */
  open(): void {
    this.placement.start();
  }

  get owner(): NodeId {
    return this.harness.owner;
  }

  async create(request: Record<string, unknown> = {}): Promise<{ job: Job; deduplicated: boolean }> {
    const { placement, ...spec } = request;
    const parsed = jobSpecSchema.parse({ image: TEST_IMAGE, ...spec });
    // Ids of nodes are shorter here than a client's may be.
    const asked = typeof placement === 'string' ? { ...parsed, placement } : parsed;
    return this.jobs.create(asked, 'local');
  }

  /** Without what the jobs run on: as far as others can tell, it is gone. */
  async stopPlacing(): Promise<void> {
    this.#told[Symbol.dispose]();
    await this.placement[Symbol.asyncDispose]();
  }
}

/** Nodes in one process that reach each other, or not, as a test says. Records are told at once to whoever is reached. */
export class PlacementCluster implements AsyncDisposable {
  readonly clock: Clock;
  /** Decides what becomes of each call. */
  fate: (call: CarriedRequest, from: NodeId, to: NodeId) => Fate = () => 'through';
  /** How long each call takes on its way there, and its answer on its way back, ms. */
  delayMs: (call: CarriedRequest) => number = () => 0;
  /** Every call that came to its node, as `from call to`. */
  readonly calls: string[] = [];
  readonly #nodes = new Map<NodeId, PlacementNode>();
  /** Those of earlier lives, too: their directories go with the first. */
  readonly #harnesses: JobHarness[] = [];
  readonly #parts = new Map<NodeId, number>();
  readonly #listeners = new Map<NodeId, Set<(node: NodeId, isConnected: boolean) => void>>();

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
  }

  static async start(names: readonly string[], options: HarnessOptions = {}): Promise<PlacementCluster> {
    const cluster = new PlacementCluster();
    for (const name of names) await cluster.add(name, options);
    return cluster;
  }

  async add(name: string, options: HarnessOptions = {}): Promise<PlacementNode> {
    const harness = await JobHarness.start({ ...options, owner: name as NodeId });
    const node = this.#join(harness);
    node.open();
    return node;
  }

  node(name: string): PlacementNode {
    const node = this.#nodes.get(name as NodeId);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** Dies without a word, and comes back with what is on disk. */
  async restart(name: string): Promise<PlacementNode> {
    const node = await this.beginRestart(name);
    node.open();
    return node;
  }

  /** The same up to where it is connected, and its own jobs are not known yet. */
  async beginRestart(name: string): Promise<PlacementNode> {
    const { harness } = this.node(name);
    await this.take(name);
    return this.#join(await harness.restart());
  }

  /** Nobody reaches it any more, and it is not there either. */
  async take(name: string): Promise<PlacementNode> {
    const node = this.node(name);
    this.#nodes.delete(node.owner);
    for (const other of this.#nodes.keys()) this.#notify(other, node.owner, false);
    await node.stopPlacing();
    return node;
  }

  /** Only those of one list reach each other. */
  partition(...parts: readonly (readonly string[])[]): void {
    for (const [index, names] of parts.entries())
      for (const name of names) this.#parts.set(name as NodeId, index);
  }

  heal(): void {
    this.#parts.clear();
    for (const node of this.#nodes.values()) {
      for (const { job } of node.harness.jobs.list({ limit: 1_000 }).jobs)
        this.tell(node.owner, job, undefined);
      for (const other of this.#nodes.keys()) if (other !== node.owner) this.#notify(other, node.owner, true);
    }
  }

  /** Nodes that have the job, and not as a duplicate. */
  ownersOf(id: JobId): NodeId[] {
    return [...this.#nodes.values()]
      .filter(({ harness }) => {
        const job = harness.log.get(id);
        return job !== undefined && job.outcome?.reason !== 'duplicate';
      })
      .map(({ owner }) => owner);
  }

  /** Containers of the job that were made, on all nodes together. */
  liveOwnersOf(id: JobId): NodeId[] {
    return [...this.#nodes.values()]
      .filter(({ harness }) => {
        const job = harness.log.get(id);
        return job !== undefined && !hasEnded(job);
      })
      .map(({ owner }) => owner);
  }

  tell(owner: NodeId, after: Job | undefined, before: Job | undefined): void {
    for (const node of this.#nodes.values()) {
      if (node.owner === owner || !this.#isReached(owner, node.owner)) continue;
      if (after !== undefined) node.mirror.put(decodeRecord(encodeRecord(after)));
      else if (before !== undefined) node.mirror.remove(before);
    }
  }

  membersOf(owner: NodeId): Members {
    const connected = (): NodeId[] =>
      [...this.#nodes.keys()].filter((node) => node !== owner && this.#isReached(owner, node));
    return {
      connected,
      subscribe: (listener) => {
        const listeners = this.#listeners.get(owner) ?? new Set();
        this.#listeners.set(owner, listeners.add(listener));
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    };
  }

  async *call(
    from: NodeId,
    to: NodeId,
    request: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    signal.throwIfAborted();
    const target = this.#nodes.get(to);
    if (target === undefined || !this.#isReached(from, to)) throw unreachable(to, { sent: false });
    const call = decodeRequest(request);
    const fate = this.fate(call, from, to);
    if (fate === 'unsent') throw unreachable(to, { sent: false });
    if (fate === 'lost') throw unreachable(to);
    if (fate === 'silence') await abortable(new Promise<never>(() => undefined), signal);
    await this.#pass(call);
    this.calls.push(`${from} ${call.call} ${to}`);
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of target.handler(request, from, signal)) pieces.push(piece);
    } catch (error) {
      if (fate === 'answer-lost') throw unreachable(to);
      throw carriedError(error);
    }
    await this.#pass(call);
    if (fate === 'answer-lost' || !this.#isReached(from, to)) throw unreachable(to);
    yield* pieces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) await node.stopPlacing();
    for (const harness of this.#harnesses.reverse()) await harness[Symbol.asyncDispose]();
  }

  #join(harness: JobHarness): PlacementNode {
    this.#harnesses.push(harness);
    const node = new PlacementNode(harness, this);
    this.#nodes.set(node.owner, node);
    for (const other of this.#nodes.values()) {
      if (other === node || !this.#isReached(other.owner, node.owner)) continue;
      for (const { job } of other.harness.jobs.list({ limit: 1_000 }).jobs)
        this.tell(other.owner, job, undefined);
      this.#notify(other.owner, node.owner, true);
    }
    for (const { job } of harness.jobs.list({ limit: 1_000 }).jobs) this.tell(node.owner, job, undefined);
    return node;
  }

  async #pass(call: CarriedRequest): Promise<void> {
    const delayMs = this.delayMs(call);
    if (delayMs > 0) await sleep(systemClock, delayMs);
  }

  #isReached(one: NodeId, other: NodeId): boolean {
    return this.#parts.get(one) === this.#parts.get(other);
  }

  #notify(node: NodeId, about: NodeId, isConnected: boolean): void {
    for (const listener of this.#listeners.get(node) ?? []) listener(about, isConnected);
  }
}

function unreachable(node: NodeId, details: Record<string, unknown> = {}): PeerError {
  return new PeerError('peer_unreachable', `node ${node} is not connected`, { retryable: true, details });
}

/** As an error is on its arrival: the code and the facts, and nothing of its class. */
function carriedError(error: unknown): unknown {
  if (!(error instanceof CodedError)) return error;
  const { code, message, details, retryable } = error;
  return new PeerCallError(code, message, { details, retryable });
}
