import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { PeerError } from '../errors.ts';
import { publicKeyOf } from '../identity.ts';
import type { GossipVerdict, PeerNetwork, PeerStream } from '../network.ts';
import type { Signing } from '../signing.ts';
import { Audience } from './audience.ts';
import { decodeBatch, proveAll, requireSigned, type Batch } from './batch.ts';
import { ForgottenOwners } from './forgotten-owners.ts';
import { IdentityWatch } from './identity-watch.ts';
import type { LogRecord } from './log-record.ts';
import { Mirror, type MirrorReports } from './mirror.ts';
import { hasNoRoom, type MirrorStore } from './mirror-store.ts';
import type { OwnLog } from './own-log.ts';
import { OwnPast } from './own-past.ts';
import { Publisher } from './publisher.ts';
import { Pulls, type PullScope } from './pulls.ts';
import { Repairs } from './repairs.ts';
import { SILENT_MS } from './silence.ts';
import { isNewer, type SignedStatement, type Statement } from './statement.ts';
import { request } from './sync-client.ts';
import { decodeRequest, SYNC_PROTOCOL, type Forgotten, type PullRequest } from './sync-messages.ts';
import { serveLocate, servePull } from './sync-server.ts';
import { Voice } from './voice.ts';

/** What is told of replication as it goes; counted and logged by whoever listens. */
export interface ReplicationReports extends MirrorReports {
  /** A peer sent what cannot be proved, or is not what the protocol allows. */
  onViolation(peer: NodeId, error: PeerError): void;
  onPullFailed(peer: NodeId, error: unknown): void;
  onPulled(peer: NodeId, scope: PullScope, records: number, durationMs: number): void;
  onGossip(verdict: GossipVerdict, records: number): void;
  /** Two nodes run with one identity; `owner` may be this node's own. Told again and again as long as it lasts. */
  onCopiedIdentity(owner: NodeId): void;
  /** Others know more of this node's log than its store does. */
  onBehind(epoch: number): void;
  /** What is mirrored is not what its owner has, and is fetched anew. */
  onMismatch(owner: NodeId): void;
}

export interface ReplicatorOptions {
  /** How long it is remembered what other owners have removed, ms. */
  readonly tombstoneMs: number;
  readonly card: () => Uint8Array;
  /** Whether an owner may be a member at all. */
  readonly isAllowed: (owner: NodeId) => boolean;
}

export interface ReplicatorDependencies {
  readonly network: PeerNetwork;
  readonly log: OwnLog;
  readonly store: MirrorStore;
  readonly signing: Signing;
  readonly clock: Clock;
  readonly reports: ReplicationReports;
  /** Throws a `PeerError` `peer_violation` for a record that means nothing. */
  readonly inspect: (record: LogRecord) => void;
  readonly random?: () => number;
}

/** So long a peer may take over one answer, ms. */
const PULL_TIMEOUT_MS = 120_000;
/** How long a peer may take to say what it asks for, ms. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How often what is known of removals is looked through for what is old; and how soon again when there was much of it, ms. */
const COMPACTION_MS = 600_000;
const COMPACTION_PAUSE_MS = 50;
/** Peers that are asked for one key. */
const LOCATE_PEERS = 8;

/**
 * Keeps a mirror of every other node's log, and tells them of this one's: changes as they come, by gossip, which may be lost; and what
 * is missing by asking, which is the truth.
 */
export class Replicator implements AsyncDisposable {
  readonly mirror: Mirror;
  readonly #options: ReplicatorOptions;
  readonly #deps: ReplicatorDependencies;
  readonly #voice: Voice;
  readonly #publisher: Publisher;
  readonly #pulls: Pulls;
  readonly #forgotten: ForgottenOwners;
  readonly #watch = new IdentityWatch();
  readonly #repairs: Repairs;
  readonly #audience: Audience;
  readonly #past: OwnPast;
  #compaction: Disposable;

  constructor(options: ReplicatorOptions, deps: ReplicatorDependencies) {
    this.#options = options;
    this.#deps = deps;
    const { network, log, store, signing, clock, reports } = deps;
    this.mirror = new Mirror({ store, clock, reports });
    this.#audience = new Audience({ network, mirror: this.mirror, clock });
    this.#forgotten = new ForgottenOwners(store.forgotten(), {
      signing,
      save: (marks) => store.saveForgotten(marks),
      nowMs: clock.wallMs(),
    });
    const nextLife = (above: number): number => store.nextIncarnation(above);
    this.#voice = new Voice({ incarnation: nextLife(0), card: options.card }, { log, signing });
    const publish = (message: Uint8Array): void => network.publish(message);
    const listeners = (): number => network.connected().length;
    this.#publisher = new Publisher({ log, voice: this.#voice, clock, publish, listeners });
    network.onGossip((message, from) => this.#judge(message, from));
    network.handle(SYNC_PROTOCOL, (stream, from, signal) => this.#serve(stream, from, signal));
    this.#repairs = new Repairs({
      mirror: this.mirror,
      clock,
      noticeGap: (owner, hint) => this.#pulls.noticeGap(owner, hint),
      onMismatch: (owner) => reports.onMismatch(owner),
    });
    this.#past = new OwnPast({
      nodeId: network.nodeId,
      log,
      voice: this.#voice,
      signing,
      watch: this.#watch,
      clock,
      nextLife,
      onCopied: () => reports.onCopiedIdentity(network.nodeId),
      onBehind: (epoch) => reports.onBehind(epoch),
      onBegun: () => this.announce(),
    });
    this.#compaction = this.#compactAfter(COMPACTION_MS);
    // Last: it asks at once those that are connected already.
    this.#pulls = new Pulls({
      network,
      clock,
      random: deps.random ?? Math.random,
      pull: (peer, scope, signal) => this.#pull(peer, scope, signal),
      isBehind: (owner) => this.mirror.hasGap(owner),
      onFailure: (peer, error) => this.#failed(peer, error),
    });
  }

  /** Tells at once what the node tells of itself. */
  announce(): void {
    this.#publisher.beacon();
  }

  /** Asks the connected peers, or some of them, for the records of one key, and returns when all have answered. */
  async locate(key: string, signal: AbortSignal): Promise<void> {
    const peers = this.#deps.network.connected().slice(0, LOCATE_PEERS);
    const answers = peers.map((peer) => this.#request(peer, { kind: 'locate', key }, signal));
    await Promise.allSettled(answers);
  }

  /** Gives an owner up that will not return, here and, by and by, at every peer. One that was heard just now is kept. */
  forget(owner: NodeId): 'forgotten' | 'unknown' | 'still heard' {
    const state = this.mirror.state(owner);
    if (state === undefined) return 'unknown';
    if (!this.#isSilent(owner)) return 'still heard';
    this.#giveUp([state.newest]);
    for (const peer of this.#deps.network.connected()) this.#pulls.ask(peer, 'all');
    return 'forgotten';
  }

  /** Something of an owner's mirror is gone: it is compared with what the owner has, and fetched anew. */
  mistrust(owner: NodeId): void {
    this.#repairs.fetchAnew(owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#compaction[Symbol.dispose]();
    this.#publisher[Symbol.dispose]();
    this.#voice[Symbol.dispose]();
    this.#audience[Symbol.dispose]();
    await this.#pulls[Symbol.asyncDispose]();
    await this.#past.settled();
  }

  #judge(message: Uint8Array, from: NodeId): GossipVerdict {
    try {
      const batch = decodeBatch(message);
      const verdict = this.#hearGossip(batch, from);
      this.#deps.reports.onGossip(verdict, batch.records.length);
      return verdict === 'accept' && this.#hasReachedAll(batch, from) ? 'ignore' : verdict;
    } catch (error) {
      if (hasNoRoom(error)) return 'ignore';
      // One of ours: the process ends.
      if (!(error instanceof PeerError)) throw error;
      this.#deps.reports.onViolation(from, error);
      return 'reject';
    }
  }

  #hearGossip(batch: Batch, from: NodeId): GossipVerdict {
    const { statement, signed, records } = batch;
    const { signing, network, inspect } = this.#deps;
    const owner = signing.nodeIdOf(statement.owner);
    if (owner === network.nodeId) {
      // Nobody gossips what was said long ago.
      this.#past.hear(statement, signed, 0);
      return 'ignore';
    }
    if (!this.#isWanted(owner, statement)) return 'ignore';
    if (this.mirror.isStale(owner, statement)) {
      this.#watchForCopy(owner, statement, signed);
      return 'ignore';
    }
    const proofs = proveAll(batch, signing);
    for (const record of records) inspect(record);
    if (!this.mirror.hear(owner, statement, signed)) return 'ignore';
    if (this.mirror.isBehind(owner, statement)) {
      // Asking it shows it what it has lost.
      this.#pulls.ask(network.connected().includes(owner) ? owner : from, 'all');
      return 'accept';
    }
    const { epoch, from: start, to } = statement;
    const proved = records.map((record, index) => ({ record, proof: proofs[index] as Uint8Array }));
    this.mirror.take({ owner, epoch, span: { from: start, to }, records: proved });
    this.#repairs.check(owner, from);
    return 'accept';
  }

  /** Only its writer is believed on how many it told: who merely passes it on could keep it from others. */
  #hasReachedAll({ statement, listeners }: Batch, from: NodeId): boolean {
    return this.#deps.signing.nodeIdOf(statement.owner) === from && this.#audience.isWhole(listeners);
  }

  #isWanted(owner: NodeId, statement: Statement): boolean {
    return this.#options.isAllowed(owner) && !this.#forgotten.covers(owner, statement);
  }

  async #serve(stream: PeerStream, from: NodeId, signal: AbortSignal): Promise<void> {
    try {
      const bytes = await this.#requestOf(stream, signal);
      if (bytes !== undefined) await this.#answer(bytes, stream, from);
    } catch (error) {
      if (error instanceof PeerError && error.code === 'peer_violation')
        this.#deps.reports.onViolation(from, error);
      throw error;
    }
  }

  async #requestOf(stream: PeerStream, signal: AbortSignal): Promise<Uint8Array | undefined> {
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs: REQUEST_TIMEOUT_MS });
    return await abortable(stream.read(), limited.signal);
  }

  async #answer(bytes: Uint8Array, stream: PeerStream, from: NodeId): Promise<void> {
    const asked = decodeRequest(bytes);
    const { log, store, signing, clock } = this.#deps;
    const deps = { log, voice: this.#voice, mirror: this.mirror, store, signing, clock };
    if (asked.kind === 'locate') return serveLocate(asked.key, stream, deps);
    this.#past.show(asked.evidence);
    if (asked.isInDoubt) this.#past.doubt(asked.evidence);
    // What is said from here on is said in the new epoch.
    await this.#past.settled();
    this.#heedForgotten(asked.forgotten, from);
    await servePull({ request: asked, from }, stream, deps);
  }

  #watchForCopy(owner: NodeId, statement: Statement, signed: SignedStatement): void {
    const newest = this.mirror.state(owner)?.newest;
    if (newest === undefined || statement.incarnation >= newest.incarnation) return;
    requireSigned(statement, signed, this.#deps.signing);
    if (this.#watch.isCopy(owner, statement, newest)) this.#deps.reports.onCopiedIdentity(owner);
  }

  /**
   * A member is believed that an owner will not return, unless it is here, or has been since; but for no more than was heard of it
   * here: it may come back with anything later.
   */
  #heedForgotten(marks: readonly Forgotten[], from: NodeId): void {
    const { signing, network } = this.#deps;
    const heeded = marks.flatMap((mark) => {
      const owner = signing.nodeIdOf(mark.owner);
      const newest = this.mirror.state(owner)?.newest;
      if (newest === undefined || owner === network.nodeId || owner === from || !this.#isSilent(owner))
        return [];
      const hasReturned = newest.epoch > mark.epoch || newest.incarnation > mark.incarnation;
      if (hasReturned) return [];
      return [isNewer(mark, newest) ? newest : mark];
    });
    this.#giveUp(heeded);
  }

  #isSilent(owner: NodeId): boolean {
    const { network, clock } = this.#deps;
    if (network.connected().includes(owner)) return false;
    const heardAtMs = this.mirror.state(owner)?.heardAtMs ?? Number.NEGATIVE_INFINITY;
    return clock.monotonicMs() - heardAtMs >= SILENT_MS;
  }

  #giveUp(marks: readonly Forgotten[]): void {
    const news = this.#forgotten.add(marks, this.#deps.clock.wallMs());
    for (const owner of news) {
      this.mirror.forget(owner);
      this.#watch.forget(owner);
    }
  }

  async #pull(peer: NodeId, scope: PullScope, signal: AbortSignal): Promise<void> {
    const { clock, reports } = this.#deps;
    const startedMs = clock.monotonicMs();
    const isWhole = this.mirror.state(peer)?.coverage.upTo === 0;
    const records = await this.#request(peer, this.#pullRequest(peer, scope), signal);
    reports.onPulled(peer, scope, records, clock.monotonicMs() - startedMs);
    if (isWhole) this.#repairs.noteWhole(peer);
    this.#repairs.checkAll();
  }

  #pullRequest(peer: NodeId, scope: PullScope): PullRequest {
    const known = this.mirror.state(peer);
    const owners = scope === 'all' ? [...this.mirror.owners()] : [];
    const wants = owners.map(({ newest, epoch, coverage }) => ({
      owner: newest.owner,
      epoch,
      upTo: coverage.upTo,
    }));
    const key = publicKeyOf(peer);
    if (scope === 'own' && key !== undefined)
      wants.push({ owner: key, epoch: known?.epoch ?? 0, upTo: known?.coverage.upTo ?? 0 });
    return {
      kind: 'pull',
      wants,
      others: scope === 'all',
      evidence:
        known === undefined
          ? []
          : [known.formerSigned, known.newestSigned].filter((signed) => signed !== undefined),
      forgotten: this.#stillForgotten(),
      isInDoubt: this.#repairs.isInDoubt(peer),
    };
  }

  /** An owner that has said anything since has returned. */
  #stillForgotten(): readonly Forgotten[] {
    for (const mark of this.#forgotten.all()) {
      const owner = this.#deps.signing.nodeIdOf(mark.owner);
      const newest = this.mirror.state(owner)?.newest;
      if (newest !== undefined && isNewer(newest, mark)) this.#forgotten.release(owner);
    }
    return this.#forgotten.all();
  }

  async #request(peer: NodeId, message: Parameters<typeof request>[1], signal: AbortSignal): Promise<number> {
    const { network, signing, inspect, clock } = this.#deps;
    using limited = new LinkedSignal([signal], { clock, limitMs: PULL_TIMEOUT_MS });
    const isWanted = (owner: NodeId, statement: Statement): boolean => this.#isWanted(owner, statement);
    const onOwn = (statement: Statement, signed: SignedStatement, ageMs: number): void =>
      this.#past.hear(statement, signed, ageMs);
    const deps = { network, mirror: this.mirror, signing, clock, inspect, isWanted, onOwn };
    return await request(peer, message, limited.signal, deps);
  }

  /** A part at a time, so that nothing else waits for long. */
  #compactAfter(delayMs: number): Disposable {
    const { clock } = this.#deps;
    return clock.after(delayMs, () => {
      const isDone = this.#compact(clock.wallMs() - this.#options.tombstoneMs);
      this.#compaction = this.#compactAfter(isDone ? COMPACTION_MS : COMPACTION_PAUSE_MS);
    });
  }

  #compact(beforeMs: number): boolean {
    try {
      return this.mirror.compact(beforeMs);
    } catch (error) {
      if (!hasNoRoom(error)) throw error;
      return true;
    }
  }

  #failed(peer: NodeId, error: unknown): void {
    const { reports } = this.#deps;
    if (error instanceof PeerError && error.code === 'peer_violation') reports.onViolation(peer, error);
    else reports.onPullFailed(peer, error);
  }
}
