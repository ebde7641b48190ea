import { crc32 } from 'node:zlib';
import type { NodeId } from '../kernel/ids.ts';
import type { MirroredRecord, MirrorOwner } from '../peers/replication/mirror-store.ts';
import type { Span } from '../peers/replication/coverage.ts';

/** What a list of mirrored records is searched and ordered by. */
export interface Facets {
  readonly state: string;
  readonly name: string | undefined;
  readonly createdAtMs: number;
}

export interface OwnerRow {
  readonly id: number;
  readonly owner: string;
  readonly epoch: number;
  readonly up_to: number;
  readonly spans: string;
  readonly digest: Uint8Array;
  readonly newest: Uint8Array;
  readonly newest_signature: Uint8Array;
  readonly former: Uint8Array | null;
  readonly former_signature: Uint8Array | null;
  readonly heard_at: number;
}

export interface RecordRow {
  readonly id: number;
  readonly owner: string;
  readonly key: string;
  readonly epoch: number;
  readonly seq: number;
  readonly body: Uint8Array | null;
  readonly proof: Uint8Array;
  readonly checksum: number;
}

export function decodeOwner(row: OwnerRow): MirrorOwner {
  const { former, former_signature: formerSignature } = row;
  return {
    owner: row.owner as NodeId,
    epoch: row.epoch,
    upTo: row.up_to,
    spans: JSON.parse(row.spans) as Span[],
    digest: row.digest,
    newest: { bytes: row.newest, signature: row.newest_signature },
    former:
      former === null || formerSignature === null ? undefined : { bytes: former, signature: formerSignature },
    heardAtMs: row.heard_at,
  };
}

/** Undefined when the row is not what was written. */
export function decodeRecordRow(row: RecordRow): MirroredRecord | undefined {
  const { key, epoch, seq, proof } = row;
  const record = { owner: row.owner as NodeId, key, epoch, seq, body: row.body ?? undefined, proof };
  return recordChecksum(record) === row.checksum ? record : undefined;
}

export function recordChecksum({ key, epoch, seq, body, proof }: Omit<MirroredRecord, 'owner'>): number {
  const head = crc32(`${key}\n${epoch}\n${seq}\n${body?.length ?? 'removed'}`);
  return crc32(proof, body === undefined ? head : crc32(body, head));
}
