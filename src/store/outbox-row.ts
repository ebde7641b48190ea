import { crc32 } from 'node:zlib';
import type { PlacedRequest, Placement } from '../jobs/placement/outbox-store.ts';
import { StoreError } from '../jobs/job-store.ts';
import { messageOf } from '../kernel/errors.ts';
import { storeCorrupt } from './failures.ts';
import type { RowSource } from './job-row.ts';

/** A placement as it is stored: what is searched in columns, and the request, which holds secrets, sealed. */
export interface OutboxRow {
  readonly id: string;
  readonly target: string;
  readonly created_at: number;
  readonly wish: string;
  readonly request: string;
  readonly checksum: number;
}

/** Version of the JSON that is sealed in `request`. */
const REQUEST_VERSION = 1;

export function encodePlacement(placement: Placement, source: RowSource): OutboxRow {
  const { id, target, createdAtMs, wish, request } = placement;
  const sealed = source.box.seal(JSON.stringify({ v: REQUEST_VERSION, ...request }), contextOf(id));
  const row = { id, target, created_at: createdAtMs, wish, request: sealed };
  return { ...row, checksum: checksumOf(row) };
}

/** Throws `store_corrupt` for a row that is not what was written, and `store_foreign` for one that cannot be read here. */
export function decodePlacement(row: OutboxRow, source: RowSource): Placement {
  if (checksumOf(row) !== row.checksum)
    throw storeCorrupt(source.file, `the checksum of placement ${row.id} is wrong`, {
      details: { kind: 'placement', id: row.id },
    });
  return {
    id: row.id as Placement['id'],
    target: row.target as Placement['target'],
    createdAtMs: row.created_at,
    wish: row.wish as Placement['wish'],
    request: requestOf(row, source),
  };
}

function requestOf(row: OutboxRow, source: RowSource): PlacedRequest {
  let text: string;
  try {
    text = source.box.open(row.request, contextOf(row.id));
  } catch (error) {
    const remedy = 'restore the identity.key that belongs to it';
    throw foreign(row, source, `was sealed with another node's key (${messageOf(error)}); ${remedy}`);
  }
  const { v, idempotencyKey, ...request } = JSON.parse(text) as PlacedRequest & { v: number };
  if (v !== REQUEST_VERSION)
    throw foreign(row, source, `has version ${v}, which is not known here; upgrade this node`);
  return { ...request, idempotencyKey };
}

function foreign(row: OutboxRow, { file }: RowSource, what: string): StoreError {
  return new StoreError('store_foreign', `${file}: placement ${row.id} ${what}`, {
    details: { file, job_id: row.id },
  });
}

/** What is sealed as a placement opens as nothing else. */
function contextOf(id: string): string {
  return `placement ${id}`;
}

function checksumOf({ id, target, created_at, wish, request }: Omit<OutboxRow, 'checksum'>): number {
  return crc32(JSON.stringify([id, target, created_at, wish]) + request);
}
