import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { Coverage, type Span } from './coverage.ts';
import type { LogRecord } from './log-record.ts';
import { MirrorChanges } from './mirror-changes.ts';
import { hasNoRoom, type MirroredRecord, type MirrorStore } from './mirror-store.ts';
import {
  hasGap,
  isMismatch,
  isWhole,
  ROOMY_RECORD_COUNT,
  stateOf,
  stateOfNew,
  type OwnerState,
} from './owner-state.ts';
import { SetDigest } from './set-digest.ts';
import { isNewer, type SignedStatement, type Statement } from './statement.ts';

/** Most owners whose logs are mirrored: a member could make up more. */
export const MAX_OWNERS = 1024;
/** An owner that was not heard for so long gives its place to one that is here, ms. */
const EVICTABLE_MS = 86_400_000;
/** Old removals that are dropped at once. */
const COMPACTION_SIZE = 1_000;
/** How old the stored time at which an owner was last heard may be while it says nothing new, ms. */
const SAVE_HEARD_MS = 60_000;

/** Records that are read at once. */
const PAGE_SIZE = 500;

/** A record that is proved to be its owner's word. */
export interface ProvedRecord {
  readonly record: LogRecord;
  readonly proof: Uint8Array;
}

/** Records of one owner, and the stretch of its log of which they are all that still counts. */
export interface Delivery {
  readonly owner: NodeId;
  readonly epoch: number;
  readonly span: Span;
  readonly records: readonly ProvedRecord[];
}

/** `body` is undefined for a removed record. */
export type MirrorChangeListener = (owner: NodeId, record: LogRecord) => void;

/** What the mirror tells of what it sees; counted and logged by whoever listens. */
export interface MirrorReports {
  /** Two records of one owner at one place in its log. The first one counts. */
  onConflict(owner: NodeId, key: string, seq: number): void;
  /** More owners, or more records of one owner, than are kept, or than there is room for on the disk. */
  onOverflow(owner: NodeId): void;
}

/**
 * What other nodes said of their logs, as far as it has come here. Only what its owner signed gets this far; the newest word on
 * each key counts, by (epoch, seq) and nothing else, so that it does not matter in which order, how often or by whom it is
 * delivered.
 */
export class Mirror {
  readonly #store: MirrorStore;
  readonly #clock: Clock;
  readonly #reports: MirrorReports;
  readonly #states = new Map<NodeId, OwnerState>();
  readonly #listeners = new Set<MirrorChangeListener>();

  constructor(deps: { store: MirrorStore; clock: Clock; reports: MirrorReports }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#reports = deps.reports;
    const now = { wallMs: deps.clock.wallMs(), monotonicMs: deps.clock.monotonicMs() };
    for (const row of deps.store.owners())
      this.#states.set(row.owner, stateOf(row, deps.store.count(row.owner), now));
  }

  /** Listeners hear of each change once it is stored. They must not throw. */
  subscribe(listener: MirrorChangeListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  owners(): IterableIterator<Readonly<OwnerState>> {
    return this.#states.values();
  }

  state(owner: NodeId): Readonly<OwnerState> | undefined {
    return this.#states.get(owner);
  }

  /** Whether a statement can bring nothing: whatever it covers is known, and it is no newer sign of life. */
  isStale(owner: NodeId, statement: Statement): boolean {
    const state = this.#states.get(owner);
    if (state === undefined || statement.epoch > state.epoch || isNews(state, statement)) return false;
    return statement.epoch < state.epoch || statement.to <= state.coverage.upTo;
  }

  /**
   * Takes a statement that its owner signed; `ageMs` is how long ago it was heard by whoever passes it on. False when there is no
   * place for another owner.
   */
  hear(owner: NodeId, statement: Statement, signed: SignedStatement, ageMs = 0): boolean {
    const known = this.#states.get(owner);
    if (known === undefined && !this.#makePlace(ageMs)) {
      this.#reports.onOverflow(owner);
      return false;
    }
    const state = known ?? stateOfNew(owner, statement, signed);
    this.#states.set(owner, state);
    if (known !== undefined && !isNews(known, statement)) return true;
    state.heardAtMs = Math.max(state.heardAtMs, this.#clock.monotonicMs() - ageMs);
    // It lives, but has lost what it once said: what it says now counts from its next epoch on.
    if (isBehind(statement, state.newest)) {
      state.newestBehind = statement;
      return true;
    }
    const isNextLife = statement.incarnation > state.newest.incarnation;
    const said = {
      newest: statement,
      newestSigned: signed,
      formerSigned: isNextLife ? state.newestSigned : state.formerSigned,
    };
    if (statement.epoch > state.epoch) this.#beginEpoch(state, said);
    else {
      Object.assign(state, said);
      if (this.#clock.monotonicMs() - state.savedAtMs >= SAVE_HEARD_MS) this.#saveIfRoom(state);
    }
    return true;
  }

  /** Takes records of an owner that was heard; what is known better already is left. */
  take(delivery: Delivery): void {
    const { owner, epoch, span, records } = delivery;
    const state = this.#states.get(owner);
    if (state === undefined || epoch !== state.epoch) return;
    // Nobody knows of more than it has said.
    if (state.newest.epoch !== epoch || span.to > state.newest.head) return;
    const changes = new MirrorChanges(state);
    for (const { record, proof } of records) {
      // What is covered and not there was superseded, or removed so long ago that nobody remembers it.
      const before = changes.pending(record.key) ?? this.#store.record(owner, record.key);
      const isKnown = before?.epoch === epoch && before.seq >= record.seq;
      if (record.seq <= state.coverage.upTo || isKnown) {
        if (isConflict(before, epoch, record)) this.#reports.onConflict(owner, record.key, record.seq);
      } else if (!changes.put({ ...record, owner, epoch, proof }, before)) {
        state.isPartial = true;
        this.#reports.onOverflow(owner);
      }
    }
    const coverage = state.coverage.with(span);
    if (!changes.isEmpty || coverage !== state.coverage) this.#apply(state, changes, coverage);
    // Also of nothing: an owner that begins anew with an empty log has removed everything.
    if (state.hasOlder && isWhole(state)) this.#dropOlder(state);
  }

  /** Resists a power cut, with all that was taken before. */
  persist(owner: NodeId): void {
    const state = this.#states.get(owner);
    if (state !== undefined) this.#change(state, {}, { isDurable: true });
  }

  /**
   * After an owner's whole log was delivered: what of it up to `upTo` was not among it is gone, though nobody remembers its
   * removal any more.
   */
  dropAllBut(owner: NodeId, seen: ReadonlySet<string>, upTo: number): void {
    const state = this.#states.get(owner);
    if (state === undefined) return;
    const drop = this.#store.keysUpTo(owner, state.epoch, upTo).filter((key) => !seen.has(key));
    if (drop.length === 0) return;
    const gone = drop.flatMap((key) => this.#store.record(owner, key) ?? []);
    const changes = new MirrorChanges(state);
    for (const record of gone) changes.countOut(record);
    this.#change(state, changes.counts, { drop, isDurable: true });
    for (const { key, body } of gone)
      if (body !== undefined) this.#tell(owner, { key, seq: upTo, body: undefined });
  }

  /** Begins an owner's log anew, since what is known of it is not what it has. The records stay until they are replaced. */
  distrust(owner: NodeId): void {
    const state = this.#states.get(owner);
    if (state === undefined) return;
    // Of what is there now, whatever it was that made it differ.
    const digest = this.#digestOf(state);
    Object.assign(state, { ...this.#recount(owner), coverage: new Coverage(), digest, isPartial: false });
    this.#saveIfRoom(state);
  }

  /** Drops everything of an owner. */
  forget(owner: NodeId): void {
    const keys = this.#store.keysUpTo(owner, Number.MAX_SAFE_INTEGER, 0);
    const live = keys.filter((key) => this.#store.record(owner, key)?.body !== undefined);
    this.#store.forget(owner);
    this.#states.delete(owner);
    for (const key of live) this.#tell(owner, { key, seq: 0, body: undefined });
  }

  /** Drops what is known of removals that were stored before, by the wall clock. False when there may be more of them. */
  compact(beforeMs: number): boolean {
    let left = COMPACTION_SIZE;
    for (const state of this.#states.values()) {
      const dropped = this.#store.compact(state.owner, beforeMs, left);
      if (dropped > 0) Object.assign(state, this.#recount(state.owner));
      left -= dropped;
      if (left === 0) return false;
    }
    return true;
  }

  /** Whether an owner's log ends before what it was known to hold: it was restored, and does not know it yet. */
  isBehind(owner: NodeId, statement: Statement): boolean {
    const state = this.#states.get(owner);
    return state !== undefined && isBehind(statement, state.newest);
  }

  hasGap(owner: NodeId): boolean {
    const state = this.#states.get(owner);
    return state !== undefined && hasGap(state);
  }

  isMismatch(owner: NodeId): boolean {
    const state = this.#states.get(owner);
    if (state === undefined) return false;
    // Of more records than are kept some are always missing; they are fetched when there is place for them.
    return !(state.isPartial && state.recordCount >= ROOMY_RECORD_COUNT) && isMismatch(state);
  }

  /** The records of an epoch before stay, and are shown, until their owner has said what became of them. */
  #beginEpoch(state: OwnerState, said: Pick<OwnerState, 'newest' | 'newestSigned' | 'formerSigned'>): void {
    const { epoch } = said.newest;
    const nothing = { coverage: new Coverage(), digest: new SetDigest() };
    this.#change(state, { ...said, ...nothing, epoch, hasOlder: true });
  }

  /** Whether another owner can be taken, be it in the place of one that is long gone and of which the least is lost. */
  #makePlace(ageMs: number): boolean {
    if (this.#states.size < MAX_OWNERS) return true;
    if (ageMs >= EVICTABLE_MS) return false;
    const goneBeforeMs = this.#clock.monotonicMs() - EVICTABLE_MS;
    const [gone] = [...this.#states.values()]
      .filter(({ heardAtMs }) => heardAtMs <= goneBeforeMs)
      .sort((a, b) => a.recordCount - b.recordCount || a.heardAtMs - b.heardAtMs);
    if (gone !== undefined) this.forget(gone.owner);
    return gone !== undefined;
  }

  #digestOf({ owner, epoch }: OwnerState): SetDigest {
    const digest = new SetDigest();
    for (let seq = 0; ;) {
      const page = this.#store.recordsAfter(owner, epoch, seq, PAGE_SIZE);
      for (const record of page) {
        if (record.body !== undefined) digest.add(record.key, record.seq);
        seq = record.seq;
      }
      if (page.length === 0) return digest;
    }
  }

  #dropOlder(state: OwnerState): void {
    this.dropAllBut(state.owner, new Set(), 0);
    state.hasOlder = false;
  }

  #saveIfRoom(state: OwnerState): void {
    try {
      this.#change(state, {});
    } catch (error) {
      if (!hasNoRoom(error)) throw error;
    }
  }

  #apply(state: OwnerState, changes: MirrorChanges, coverage: Coverage): void {
    const { counts, puts, drops } = changes;
    const put = puts.map(({ after }) => after);
    const drop = drops.map(({ after }) => after.key);
    this.#change(state, { ...counts, coverage }, { put, drop });
    for (const { after, before } of [...puts, ...drops]) {
      // What a new life of the owner says again is no change; neither is the removal of what was not known.
      if (!isSame(before?.body, after.body)) this.#tell(state.owner, after);
    }
  }

  #recount(owner: NodeId): Pick<OwnerState, 'recordCount' | 'removedCount'> {
    const { live, removed } = this.#store.count(owner);
    return { recordCount: live, removedCount: removed };
  }

  /** The state follows what is stored: what there is no room for has not happened. */
  #change(
    state: OwnerState,
    changes: Partial<OwnerState>,
    write: { put?: readonly MirroredRecord[]; drop?: readonly string[]; isDurable?: boolean } = {},
  ): void {
    const nowMs = this.#clock.monotonicMs();
    const after: OwnerState = { ...state, ...changes, savedAtMs: nowMs };
    const ageMs = Math.min(nowMs - after.heardAtMs, Number.MAX_SAFE_INTEGER);
    const owner = {
      owner: after.owner,
      epoch: after.epoch,
      upTo: after.coverage.upTo,
      spans: after.coverage.spans,
      digest: after.digest.bytes(),
      newest: after.newestSigned,
      former: after.formerSigned,
      heardAtMs: Math.max(0, Math.round(this.#clock.wallMs() - ageMs)),
    };
    const { put = [], drop = [], isDurable = false } = write;
    try {
      this.#store.write({ owner, put, drop }, isDurable);
    } catch (error) {
      if (hasNoRoom(error)) this.#reports.onOverflow(after.owner);
      throw error;
    }
    Object.assign(state, after);
  }

  #tell(owner: NodeId, record: LogRecord): void {
    for (const listener of this.#listeners) listener(owner, record);
  }
}

/** Whether an owner has not been heard to say it, nor anything later. */
function isNews({ newest, newestBehind }: OwnerState, statement: Statement): boolean {
  if (!isBehind(statement, newest)) return isNewer(statement, newest);
  return newestBehind === undefined || isNewer(statement, newestBehind);
}

/** Whether an owner's log ends before what it was known to hold, or is of a life before. */
function isBehind(statement: Statement, known: Statement): boolean {
  if (statement.epoch < known.epoch) return statement.incarnation > known.incarnation;
  return statement.epoch === known.epoch && statement.head < known.head && isNewer(statement, known);
}

function isConflict(known: MirroredRecord | undefined, epoch: number, record: LogRecord): boolean {
  return known?.epoch === epoch && known.seq === record.seq && !isSame(known.body, record.body);
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
