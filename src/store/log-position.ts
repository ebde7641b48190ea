import type { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { storeCorrupt } from './failures.ts';
import type { Statements } from './statements.ts';
import type { Position } from './watermark.ts';

/** How far the owner's log has come, and up to where its removals are forgotten. */
export interface LogPosition extends Position {
  readonly eventFloor: number;
}

interface PositionRow {
  readonly epoch: number;
  readonly seq: number;
  readonly event_floor: number;
  readonly checksum: number;
}

/** The stored position; undefined in a store that has never been used. Throws `store_corrupt`. */
export function loadPosition(
  database: DatabaseSync,
  statements: Statements,
  file: string,
): LogPosition | undefined {
  const row = statements.position.get() as PositionRow | undefined;
  const last = database.prepare('SELECT max(seq) AS seq FROM events').get() as { seq: number | null };
  if (row === undefined) {
    if (last.seq !== null) throw storeCorrupt(file, 'its log position is missing');
    return undefined;
  }
  if (positionChecksum(row.epoch, row.seq, row.event_floor) !== row.checksum)
    throw storeCorrupt(file, 'the checksum of its log position is wrong');
  if (last.seq !== null && last.seq > row.seq)
    throw storeCorrupt(file, `its log position is ${row.seq}, but it holds an event ${last.seq}`);
  return { epoch: row.epoch, seq: row.seq, eventFloor: row.event_floor };
}

export function savePosition(statements: Statements, position: LogPosition): void {
  const { epoch, seq, eventFloor } = position;
  statements.savePosition.run(epoch, seq, eventFloor, positionChecksum(epoch, seq, eventFloor));
}

/** Greater than any epoch before, also one that was lost with its store: it follows the wall clock, in seconds. */
export function nextEpoch(previous: number): number {
  return Math.max(previous + 1, Math.floor(Date.now() / 1000));
}

function positionChecksum(epoch: number, seq: number, eventFloor: number): number {
  return crc32(`${epoch}\n${seq}\n${eventFloor}`);
}
