import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { MAX_RECORDS_PER_OWNER, ROOMY_RECORD_COUNT } from '../../../src/peers/replication/owner-state.ts';
import { MAX_OWNERS, Mirror, type ProvedRecord } from '../../../src/peers/replication/mirror.ts';
import type { SetDigest } from '../../../src/peers/replication/set-digest.ts';
import type { SignedStatement, Statement } from '../../../src/peers/replication/statement.ts';
import { MemoryMirrorStore } from '../../support/memory-mirror-store.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const ANNA = 'anna' as NodeId;
const DAY_MS = 86_400_000;

let clock: VirtualClock;
let store: MemoryMirrorStore;
let mirror: Mirror;
let conflicts: string[];
let overflows: NodeId[];
let told: string[];

beforeEach(() => {
  clock = new VirtualClock();
  store = new MemoryMirrorStore(() => clock.wallMs());
  open();
});

function open(): void {
  conflicts = [];
  overflows = [];
  told = [];
  const reports = {
    onConflict: (_owner: NodeId, key: string, seq: number): void => void conflicts.push(`${key} ${seq}`),
    onOverflow: (owner: NodeId): void => void overflows.push(owner),
  };
  mirror = new Mirror({ store, clock, reports });
  mirror.subscribe((_owner, { key, body }) => told.push(body === undefined ? `no ${key}` : key));
}

let tick = 0;

function hear(owner: NodeId, head: number, place: Partial<Statement> = {}, ageMs = 0): boolean {
  const statement: Statement = {
    owner: Buffer.alloc(32), epoch: 1, incarnation: 1, tick: (tick += 1), from: head, to: head, head,
    digest: Buffer.alloc(32), floor: 0, root: Buffer.alloc(32), count: 0, card: Buffer.alloc(0), ...place,
  }; // prettier-ignore
  const signed: SignedStatement = { bytes: Buffer.from('signed'), signature: Buffer.alloc(64) };
  return mirror.hear(owner, statement, signed, ageMs);
}

function record(seq: number, body: string | undefined = `body ${seq}`, key = `k${seq}`): ProvedRecord {
  return {
    record: { key, seq, body: body === undefined ? undefined : Buffer.from(body) },
    proof: Buffer.of(1),
  };
}

const removal = (seq: number, key: string): ProvedRecord => ({
  record: { key, seq, body: undefined },
  proof: Buffer.of(1),
});

function take(from: number, to: number, records: readonly ProvedRecord[], owner = ANNA): void {
  mirror.take({ owner, epoch: 1, span: { from, to }, records });
}

const upTo = (owner = ANNA): number => mirror.state(owner)!.coverage.upTo;
const counts = (owner = ANNA): [number, number] => {
  const { recordCount, removedCount } = mirror.state(owner)!;
  return [recordCount, removedCount];
};
const digest = (): SetDigest => mirror.state(ANNA)!.digest;

describe('a mirror', () => {
  it('counts what is there and what was removed, as its store does', () => {
    hear(ANNA, 10);
    take(0, 3, [record(1), record(2), record(3)]);
    take(3, 6, [removal(4, 'k1'), removal(5, 'never known'), record(6, 'again', 'k2')]);
    expect(counts()).toEqual([2, 2]);
    const { live, removed } = store.count(ANNA);
    expect(counts()).toEqual([live, removed]);
    const before = digest().bytes();
    mirror.distrust(ANNA);
    expect(digest().equals(before)).toBe(true);
    expect(counts()).toEqual([2, 2]);
  });

  it('counts no removal that is forgotten', () => {
    hear(ANNA, 10);
    take(0, 4, [record(1), removal(2, 'a'), removal(3, 'b'), removal(4, 'c')]);
    expect(mirror.compact(clock.wallMs())).toBe(true);
    expect(counts()).toEqual([1, 3]);
    expect(mirror.compact(clock.wallMs() + 1)).toBe(true);
    expect(counts()).toEqual([1, 0]);
    expect(store.count(ANNA)).toEqual({ live: 1, removed: 0 });
  });

  it('lets go of old removals a part at a time', () => {
    hear(ANNA, 1_500);
    take(
      0,
      1_500,
      Array.from({ length: 1_500 }, (_, index) => removal(index + 1, `k${index}`)),
    );
    const bert = 'bert' as NodeId;
    hear(bert, 700);
    take(
      0,
      700,
      Array.from({ length: 700 }, (_, index) => removal(index + 1, `k${index}`)),
      bert,
    );
    const rounds = [1, 2, 3].map(() => mirror.compact(clock.wallMs() + 1));
    expect(rounds).toEqual([false, false, true]);
    expect([counts(), counts(bert)]).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it('believes nobody who knows of more than the owner has said', () => {
    hear(ANNA, 3);
    take(0, 4, [record(4)]);
    expect(upTo()).toBe(0);
    expect(store.record(ANNA, 'k4')).toBeUndefined();
  });

  it('keeps the first of two records at one place, and says so', () => {
    hear(ANNA, 3);
    take(0, 3, [record(3, 'one', 'a')]);
    take(0, 3, [record(3, 'one', 'a')]);
    expect(conflicts).toEqual([]);
    take(0, 3, [record(3, 'other', 'a')]);
    expect(conflicts).toEqual(['a 3']);
    expect(Buffer.from(store.record(ANNA, 'a')!.body!).toString()).toBe('one');
    expect(told).toEqual(['a']);
  });
});

describe('a mirror without room', () => {
  it('has taken nothing, says so, and takes it when there is room', () => {
    hear(ANNA, 5);
    take(0, 2, [record(1), record(2)]);
    told.length = 0;
    store.isFull = true;
    const before = { ...mirror.state(ANNA)! };
    for (const change of [
      () => take(2, 3, [record(3)]),
      () => take(2, 4, [removal(4, 'k1')]),
      () => mirror.dropAllBut(ANNA, new Set(), 2),
      () => hear(ANNA, 0, { epoch: 2 }),
    ]) {
      expect(change).toThrow(expect.objectContaining({ code: 'store_full' }) as Error);
      const { epoch, coverage, recordCount, removedCount, newest } = mirror.state(ANNA)!;
      expect({ epoch, coverage, recordCount, removedCount, newest }).toEqual({
        epoch: before.epoch,
        coverage: before.coverage,
        recordCount: 2,
        removedCount: 0,
        newest: before.newest,
      });
      expect(digest().equals(before.digest.bytes())).toBe(true);
    }
    expect(overflows).toEqual([ANNA, ANNA, ANNA, ANNA]);
    expect(told).toEqual([]);
    store.isFull = false;
    take(2, 3, [record(3)]);
    expect([upTo(), ...counts()]).toEqual([3, 3, 0]);
    expect(told).toEqual(['k3']);
  });

  it('hears signs of life all the same', async () => {
    hear(ANNA, 5);
    store.isFull = true;
    await clock.pass(120_000);
    expect(hear(ANNA, 6)).toBe(true);
    expect(mirror.state(ANNA)!.newest.head).toBe(6);
    expect(mirror.state(ANNA)!.heardAtMs).toBe(clock.monotonicMs());
  });
});

describe('a mirror of an owner with too many records', () => {
  const MANY = MAX_RECORDS_PER_OWNER;

  it('keeps so many, says so, and fetches the rest when there is place', () => {
    const left = ROOMY_RECORD_COUNT - 1;
    const end = MANY + 2 + MANY - left;
    hear(ANNA, end - 1);
    take(
      0,
      MANY,
      Array.from({ length: MANY }, (_, index) => record(index + 1, 'x')),
    );
    expect(overflows).toEqual([]);
    take(MANY, MANY + 1, [record(MANY + 1)]);
    expect(overflows).toEqual([ANNA]);
    // What is known goes on being told of.
    take(MANY + 1, MANY + 2, [record(MANY + 2, 'newer', 'k1')]);
    expect(Buffer.from(store.record(ANNA, 'k1')!.body!).toString()).toBe('newer');
    const removals = Array.from({ length: MANY - left }, (_, index) =>
      removal(MANY + 3 + index, `k${index + 2}`),
    );
    const last = removals.pop()!;
    take(MANY + 2, end - 1, removals);
    expect(mirror.isMismatch(ANNA)).toBe(false);
    hear(ANNA, end);
    take(end - 1, end, [last]);
    expect(counts()).toEqual([left, MANY - left]);
    expect(mirror.isMismatch(ANNA)).toBe(true);
    mirror.distrust(ANNA);
    expect(mirror.hasGap(ANNA)).toBe(true);
  });

  it('remembers so many removals, and has removed the others all the same', () => {
    hear(ANNA, MANY + 4);
    take(
      0,
      MANY,
      Array.from({ length: MANY }, (_, index) => removal(index + 1, `k${index + 1}`)),
    );
    take(MANY, MANY + 1, [record(MANY + 1, 'x', 'a')]);
    take(MANY + 1, MANY + 3, [removal(MANY + 2, 'never known'), removal(MANY + 3, 'a')]);
    expect(counts()).toEqual([0, MANY]);
    expect(store.record(ANNA, 'a')).toBeUndefined();
    expect(told).toEqual(['a', 'no a']);
    expect(overflows).toEqual([]);
  });
});

describe('a mirror of too many owners', () => {
  beforeEach(() => {
    for (let index = 0; index < MAX_OWNERS; index += 1) hear(`owner ${index}` as NodeId, 1);
  });

  it('refuses one more, and says so', () => {
    expect(hear(ANNA, 1)).toBe(false);
    expect(overflows).toEqual([ANNA]);
    expect(mirror.state(ANNA)).toBeUndefined();
  });

  it('gives the place of one that is long gone, and of which the least is lost, to one that is here', async () => {
    const here = Array.from({ length: MAX_OWNERS - 3 }, (_, index) => `owner ${index}` as NodeId);
    const gone = [3, 2, 1].map((place) => `owner ${MAX_OWNERS - place}` as NodeId);
    const [withJobs, first, last] = gone as [NodeId, NodeId, NodeId];
    take(0, 1, [record(1)], withJobs);
    await clock.pass(1_000);
    for (const owner of [...here, last]) hear(owner, 1);
    await clock.pass(DAY_MS - 1);
    for (const owner of here) hear(owner, 1);
    const [bert, clara, dora] = ['bert', 'clara', 'dora'] as [NodeId, NodeId, NodeId];
    // Nor is one that is long gone itself, and that somebody else remembers.
    expect(hear(dora, 1, {}, DAY_MS)).toBe(false);
    expect([ANNA, bert].map((owner) => hear(owner, 1))).toEqual([true, true]);
    expect(mirror.state(first)).toBeUndefined();
    expect(mirror.state(withJobs)).toBeUndefined();
    expect(told).toContain('no k1');
    expect(hear(clara, 1)).toBe(false);
    await clock.pass(1);
    expect([clara, dora].map((owner) => hear(owner, 1))).toEqual([true, false]);
    expect(mirror.state(last)).toBeUndefined();
    expect(overflows).toEqual([dora, clara, dora]);
  });
});
