import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { Coverage, type Span } from './coverage.ts';
import type { LogRecord } from './log-record.ts';
import type { MirroredRecord, MirrorStore } from './mirror-store.ts';
import { hasGap, isMismatch, isWhole, stateOf, stateOfNew, type OwnerState } from './owner-state.ts';
import { SetDigest } from './set-digest.ts';
import { isNewer, type SignedStatement, type Statement } from './statement.ts';

/** Most owners whose logs are mirrored: a member could make up more. */
export const MAX_OWNERS = 1024;
/** Most records of one owner, removed ones included. */
export const MAX_RECORDS_PER_OWNER = 100_000;
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
  /** More owners, or more records of one owner, than are kept. */
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
   * room for another owner.
   */
  hear(owner: NodeId, statement: Statement, signed: SignedStatement, ageMs = 0): boolean {
    const known = this.#states.get(owner);
    if (known === undefined && this.#states.size >= MAX_OWNERS) {
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
    if (statement.incarnation > state.newest.incarnation) state.formerSigned = state.newestSigned;
    state.newest = statement;
    state.newestSigned = signed;
    if (statement.epoch > state.epoch) this.#beginEpoch(state, statement.epoch);
    if (this.#clock.monotonicMs() - state.savedAtMs >= SAVE_HEARD_MS) this.#save(state, [], [], false);
    return true;
  }

  /** Takes records of an owner that was heard; what is known better already is left. */
  take(delivery: Delivery): void {
    const { owner, epoch, span, records } = delivery;
    const state = this.#states.get(owner);
    if (state === undefined || epoch !== state.epoch) return;
    const changed = new Map<string, { after: MirroredRecord; before: MirroredRecord | undefined }>();
    for (const { record, proof } of records) {
      // What is covered and not there was superseded, or removed so long ago that nobody remembers it.
      if (record.seq <= state.coverage.upTo) {
        this.#checkConflict(state, record);
        continue;
      }
      const before = this.#store.record(owner, record.key);
      if (before !== undefined && before.epoch === epoch && before.seq >= record.seq) {
        this.#checkConflict(state, record);
        continue;
      }
      if (before === undefined && state.recordCount + changed.size >= MAX_RECORDS_PER_OWNER) {
        this.#reports.onOverflow(owner);
        continue;
      }
      changed.set(record.key, { after: { ...record, owner, epoch, proof }, before });
    }
    const coverage = state.coverage.with(span);
    if (changed.size > 0 || coverage !== state.coverage) {
      for (const { after, before } of changed.values()) countIn(state, after, before);
      state.coverage = coverage;
      const put = [...changed.values()].map(({ after }) => after);
      this.#save(state, put, [], false);
      for (const { after, before } of changed.values()) {
        // What a new life of the owner says again is no change; neither is the removal of what was not known.
        if (!isSame(before?.body, after.body)) this.#tell(owner, after);
      }
    }
    // Also of nothing: an owner that begins anew with an empty log has removed everything.
    if (state.hasOlder && isWhole(state)) this.#dropOlder(state);
  }

  /** Resists a power cut, with all that was taken before. */
  persist(owner: NodeId): void {
    const state = this.#states.get(owner);
    if (state !== undefined) this.#save(state, [], [], true);
  }

  /**
   * After an owner's whole log was delivered: what of it up to `upTo` was not among it is gone, though nobody remembers its
   * removal any more.
   */
  dropAllBut(owner: NodeId, seen: ReadonlySet<string>, upTo: number): void {
    const state = this.#states.get(owner);
    if (state === undefined) return;
    const gone = this.#store.keysUpTo(owner, state.epoch, upTo).filter((key) => !seen.has(key));
    const records = gone.map((key) => this.#store.record(owner, key));
    if (gone.length === 0) return;
    for (const record of records) if (record !== undefined) countOut(state, record);
    this.#save(state, [], gone, true);
    for (const record of records) {
      if (record?.body !== undefined) this.#tell(owner, { key: record.key, seq: upTo, body: undefined });
    }
  }

  /** Begins an owner's log anew, since what is known of it is not what it has. The records stay until they are replaced. */
  distrust(owner: NodeId): void {
    const state = this.#states.get(owner);
    if (state === undefined) return;
    state.coverage = new Coverage();
    // Of what is there now, whatever it was that made it differ.
    state.digest = this.#digestOf(state);
    state.recordCount = this.#store.count(owner);
    this.#save(state, [], [], false);
  }

  /** Drops everything of an owner. */
  forget(owner: NodeId): void {
    const keys = this.#store.keysUpTo(owner, Number.MAX_SAFE_INTEGER, 0);
    const live = keys.filter((key) => this.#store.record(owner, key)?.body !== undefined);
    this.#states.delete(owner);
    this.#store.forget(owner);
    for (const key of live) this.#tell(owner, { key, seq: 0, body: undefined });
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
    // Of more records than are kept some are always missing.
    return state !== undefined && state.recordCount < MAX_RECORDS_PER_OWNER && isMismatch(state);
  }

  /** The records of an epoch before stay, and are shown, until their owner has said what became of them. */
  #beginEpoch(state: OwnerState, epoch: number): void {
    state.epoch = epoch;
    state.hasOlder = true;
    state.coverage = new Coverage();
    state.digest = new SetDigest();
    this.#save(state, [], [], false);
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
    state.hasOlder = false;
    this.dropAllBut(state.owner, new Set(), 0);
  }

  #checkConflict(state: OwnerState, record: LogRecord): void {
    const known = this.#store.record(state.owner, record.key);
    const isConflict =
      known?.epoch === state.epoch && known.seq === record.seq && !isSame(known.body, record.body);
    if (isConflict) this.#reports.onConflict(state.owner, record.key, record.seq);
  }

  #save(state: OwnerState, put: MirroredRecord[], drop: string[], isDurable: boolean): void {
    const nowMs = this.#clock.monotonicMs();
    const ageMs = Math.min(nowMs - state.heardAtMs, Number.MAX_SAFE_INTEGER);
    state.savedAtMs = nowMs;
    const owner = {
      owner: state.owner,
      epoch: state.epoch,
      upTo: state.coverage.upTo,
      spans: state.coverage.spans,
      digest: state.digest.bytes(),
      newest: state.newestSigned,
      former: state.formerSigned,
      heardAtMs: Math.max(0, Math.round(this.#clock.wallMs() - ageMs)),
    };
    this.#store.write({ owner, put, drop }, isDurable);
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

function countIn(state: OwnerState, after: MirroredRecord, before: MirroredRecord | undefined): void {
  if (before === undefined) state.recordCount += 1;
  else if (before.epoch === state.epoch && before.body !== undefined)
    state.digest.remove(before.key, before.seq);
  if (after.body !== undefined) state.digest.add(after.key, after.seq);
}

function countOut(state: OwnerState, record: MirroredRecord): void {
  state.recordCount -= 1;
  if (record.epoch === state.epoch && record.body !== undefined) state.digest.remove(record.key, record.seq);
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
