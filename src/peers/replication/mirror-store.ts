import { CodedError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { LogRecord } from './log-record.ts';
import type { Span } from './coverage.ts';
import type { SignedStatement, StatementPlace } from './statement.ts';

/** What is kept of another node's log beside its records. */
export interface MirrorOwner {
  readonly owner: NodeId;
  readonly epoch: number;
  /** Up to which change of the epoch nothing is missing, and what is known beyond. */
  readonly upTo: number;
  readonly spans: readonly Span[];
  /** Of the records of the epoch that are there. */
  readonly digest: Uint8Array;
  /** The newest that the owner said. */
  readonly newest: SignedStatement;
  /** The newest of its life before that. */
  readonly former: SignedStatement | undefined;
  /** When it was last heard, by this node's wall clock. */
  readonly heardAtMs: number;
}

/** A record of another node, and what shows that it is the owner's word. */
export interface MirroredRecord extends LogRecord {
  readonly owner: NodeId;
  readonly epoch: number;
  readonly proof: Uint8Array;
}

/** An owner that was given up, the last that was heard of it, and when that was by this node's wall clock. */
export interface ForgottenMark extends StatementPlace {
  readonly owner: Uint8Array;
  readonly atMs: number;
}

export interface MirrorChange {
  readonly owner: MirrorOwner;
  /** Each takes the place of the record of its owner and key. */
  readonly put: readonly MirroredRecord[];
  /** Keys of the owner whose records go without a trace. */
  readonly drop: readonly string[];
}

/** How many records there are of an owner: those that are there, and those whose removal is remembered. */
export interface RecordCounts {
  readonly live: number;
  readonly removed: number;
}

/** Whether a store could not do something for want of room. It goes on without. */
export function hasNoRoom(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'store_full';
}

/**
 * Where mirrors are kept, so that a restarted node knows at once what it knew. Nothing in it is anybody's only copy. A change for
 * which there is no room on the disk throws an error that `hasNoRoom` tells, and nothing has changed; any other failure of the disk
 * ends the process, as it does in the node's own store.
 */
export interface MirrorStore {
  owners(): MirrorOwner[];
  /** One transaction. It survives the end of the process; with `isDurable` a power cut as well, together with all before it. */
  write(change: MirrorChange, isDurable: boolean): void;
  record(owner: NodeId, key: string): MirroredRecord | undefined;
  /** Of all owners. */
  recordsOf(key: string): MirroredRecord[];
  /** Of one epoch, in the order of their seq, those after `seq`, at most `limit`. */
  recordsAfter(owner: NodeId, epoch: number, seq: number, limit: number): MirroredRecord[];
  /** Keys of records from an epoch before, or with a seq up to `upTo`. */
  keysUpTo(owner: NodeId, epoch: number, upTo: number): string[];
  count(owner: NodeId): RecordCounts;
  /** Drops all there is of an owner. */
  forget(owner: NodeId): void;
  forgotten(): ForgottenMark[];
  /** Takes the place of what was there. */
  saveForgotten(marks: readonly ForgottenMark[]): void;
  /**
   * A number of a life of this node: greater than `above`, and than all that were given out before and are remembered. Never
   * fails for want of room: this one is not remembered then.
   */
  nextIncarnation(above: number): number;
  /**
   * Drops what is known of removals that were stored before, where nothing before them is missing; at most `limit`. Gives back how
   * many.
   */
  compact(owner: NodeId, beforeMs: number, limit: number): number;
}
