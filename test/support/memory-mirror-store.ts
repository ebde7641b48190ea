import { CodedError } from '../../src/kernel/errors.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import type {
  ForgottenMark,
  MirrorChange,
  MirroredRecord,
  MirrorOwner,
  MirrorStore,
  RecordCounts,
} from '../../src/peers/replication/mirror-store.ts';

class NoRoomError extends CodedError<'store_full'> {}

interface Contents {
  readonly owners: ReadonlyMap<NodeId, MirrorOwner>;
  readonly records: ReadonlyMap<NodeId, ReadonlyMap<string, MirroredRecord>>;
}

/** A mirror store in memory, for simulations; passes the suite that the one on disk passes. */
export class MemoryMirrorStore implements MirrorStore {
  readonly #owners = new Map<NodeId, MirrorOwner>();
  readonly #records = new Map<NodeId, Map<string, MirroredRecord & { storedAtMs: number }>>();
  readonly #wallMs: () => number;
  /** Nothing is written any more. */
  isFull = false;
  /** How much older things are than they are by the clock, ms. */
  ageMs = 0;
  #forgotten: readonly ForgottenMark[] = [];
  #durable: Contents | undefined;
  #incarnation = 0;

  constructor(wallMs: () => number = Date.now) {
    this.#wallMs = wallMs;
  }

  owners(): MirrorOwner[] {
    return [...this.#owners.values()];
  }

  write({ owner, put, drop }: MirrorChange, isDurable: boolean): void {
    if (this.isFull) throw new NoRoomError('store_full', 'there is no room');
    this.#owners.set(owner.owner, owner);
    const records = this.#records.get(owner.owner) ?? new Map();
    this.#records.set(owner.owner, records);
    for (const record of put) records.set(record.key, { ...record, storedAtMs: this.#wallMs() });
    for (const key of drop) records.delete(key);
    if (isDurable) this.#durable = this.#contents();
  }

  record(owner: NodeId, key: string): MirroredRecord | undefined {
    const found = this.#records.get(owner)?.get(key);
    return found === undefined ? undefined : withoutTime(found);
  }

  recordsOf(key: string): MirroredRecord[] {
    return [...this.#records.keys()].sort().flatMap((owner) => this.record(owner, key) ?? []);
  }

  recordsAfter(owner: NodeId, epoch: number, seq: number, limit: number): MirroredRecord[] {
    return [...(this.#records.get(owner)?.values() ?? [])]
      .filter((record) => record.epoch === epoch && record.seq > seq)
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit)
      .map(withoutTime);
  }

  keysUpTo(owner: NodeId, epoch: number, upTo: number): string[] {
    return [...(this.#records.get(owner)?.values() ?? [])]
      .filter((record) => record.epoch < epoch || (record.epoch === epoch && record.seq <= upTo))
      .map(({ key }) => key)
      .sort();
  }

  count(owner: NodeId): RecordCounts {
    const records = [...(this.#records.get(owner)?.values() ?? [])];
    const live = records.filter(({ body }) => body !== undefined).length;
    return { live, removed: records.length - live };
  }

  forget(owner: NodeId): void {
    this.#owners.delete(owner);
    this.#records.delete(owner);
  }

  forgotten(): ForgottenMark[] {
    return [...this.#forgotten];
  }

  saveForgotten(marks: readonly ForgottenMark[]): void {
    this.#forgotten = marks;
  }

  nextIncarnation(above: number): number {
    this.#incarnation = Math.max(above + 1, this.#incarnation + 1, this.#wallMs());
    return this.#incarnation;
  }

  compact(owner: NodeId, beforeMs: number, limit: number): number {
    const { epoch = 0, upTo = 0 } = this.#owners.get(owner) ?? {};
    const records = this.#records.get(owner) ?? new Map<string, never>();
    const old = [...records.values()]
      .filter((record) => record.body === undefined && record.storedAtMs - this.ageMs < beforeMs)
      .filter((record) => record.epoch === epoch && record.seq <= upTo)
      .slice(0, limit);
    for (const { key } of old) records.delete(key);
    return old.length;
  }

  /** What a power cut leaves: all up to the last durable write. */
  powerCut(): MemoryMirrorStore {
    const left = new MemoryMirrorStore(this.#wallMs);
    for (const [owner, row] of this.#durable?.owners ?? []) left.#owners.set(owner, row);
    for (const [owner, records] of this.#durable?.records ?? [])
      left.#records.set(
        owner,
        new Map([...records].map(([key, record]) => [key, { ...record, storedAtMs: 0 }])),
      );
    left.#forgotten = this.#forgotten;
    left.#incarnation = this.#incarnation;
    return left;
  }

  #contents(): Contents {
    return {
      owners: new Map(this.#owners),
      records: new Map([...this.#records].map(([owner, records]) => [owner, new Map(records)])),
    };
  }
}

function withoutTime({ storedAtMs: _, ...record }: MirroredRecord & { storedAtMs: number }): MirroredRecord {
  return record;
}
