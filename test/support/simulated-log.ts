import type { LogRecord } from '../../src/peers/replication/log-record.ts';
import type { OwnChange, OwnLog } from '../../src/peers/replication/own-log.ts';

interface Contents {
  readonly epoch: number;
  readonly head: number;
  readonly floor: number;
  readonly records: ReadonlyMap<string, LogRecord>;
}

/** A node's own log in memory. What it holds is what would be on its disk: it outlives the node that works with it. */
export class SimulatedLog implements OwnLog {
  epoch: number;
  head = 0;
  floor = 0;
  #records = new Map<string, LogRecord>();
  readonly #listeners = new Set<(change: OwnChange) => void>();

  readonly #newEpoch: () => number;

  /** `newEpoch`: as those of a node follow its clock, each is greater than any before, also than one that was lost. */
  constructor(newEpoch: () => number) {
    this.#newEpoch = newEpoch;
    this.epoch = newEpoch();
  }

  /** A change of a key; removes it without a body. */
  change(key: string, body: Uint8Array | undefined): LogRecord {
    const known = this.#records.get(key);
    this.head += 1;
    const record = { key, seq: this.head, body };
    this.#records.set(key, record);
    const before = known?.body === undefined ? undefined : known.seq;
    const change = { key, seq: this.head, before, body: body === undefined ? undefined : () => body };
    for (const listener of this.#listeners) listener(change);
    return record;
  }

  /** Forgets removals that are older than the newest `keep` changes. */
  compact(keep: number): void {
    for (const { key, seq, body } of [...this.#records.values()]) {
      if (body !== undefined || seq > this.head - keep) continue;
      this.#records.delete(key);
      this.floor = Math.max(this.floor, seq);
    }
  }

  recordsAfter(seq: number, limit: number): LogRecord[] {
    return [...this.#records.values()]
      .filter((record) => record.seq > seq)
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit);
  }

  record(key: string): LogRecord | undefined {
    return this.#records.get(key);
  }

  /** Those that were not removed. */
  live(): LogRecord[] {
    return [...this.#records.values()].filter(({ body }) => body !== undefined);
  }

  subscribe(listener: (change: OwnChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  openEpoch(above: number): Promise<void> {
    this.epoch = Math.max(this.#newEpoch(), above + 1);
    return Promise.resolve();
  }

  backup(): Contents {
    return { epoch: this.epoch, head: this.head, floor: this.floor, records: new Map(this.#records) };
  }

  restore({ epoch, head, floor, records }: Contents): void {
    this.epoch = epoch;
    this.head = head;
    this.floor = floor;
    this.#records = new Map(records);
  }
}
