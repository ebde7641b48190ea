import type { LogRecord } from './log-record.ts';

/** What replication needs of the node's own log. It says only what is committed. */
export interface OwnLog {
  readonly epoch: number;
  /** Place of the last committed change. */
  readonly head: number;
  /** Removals up to this place are forgotten. */
  readonly floor: number;
  /** The newest record of each key that changed after `seq`, removed ones too, in the order of their seq; at most `limit`. */
  recordsAfter(seq: number, limit: number): readonly LogRecord[];
  record(key: string): LogRecord | undefined;
  /** Every record that is there, with the place of its last change. */
  live(): Iterable<{ readonly key: string; readonly seq: number }>;
  /** Hears of each change after its commit, in order. */
  subscribe(listener: (change: OwnChange) => void): Disposable;
  /** Begins an epoch greater than `above`, durably: what others know of this node's log was lost here. */
  openEpoch(above: number): Promise<void>;
}

export interface OwnChange {
  readonly key: string;
  readonly seq: number;
  /** Place of the record that this one takes the place of; undefined when there was none. */
  readonly before: number | undefined;
  /** Undefined when the thing was removed. */
  readonly body: (() => Uint8Array) | undefined;
}
