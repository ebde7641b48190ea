import type { RecordSource, SourceRecord } from './jobs/mirrored-jobs.ts';
import { readRecord } from './jobs/record-reader.ts';
import { RecordError } from './jobs/record.ts';
import type { Clock } from './kernel/clock.ts';
import { messageOf } from './kernel/errors.ts';
import { PeerError } from './peers/errors.ts';
import type { LogRecord } from './peers/replication/log-record.ts';
import type { Mirror } from './peers/replication/mirror.ts';

export interface RecordSourceDependencies {
  readonly mirror: Pick<Mirror, 'state' | 'subscribe'>;
  readonly store: Pick<RecordSource, 'recordsOf' | 'list'>;
  readonly locate: RecordSource['locate'];
  readonly clock: Clock;
}

/** The records of the mirrors as jobs are read from them: between two domains that know nothing of each other. */
export function recordSource({ mirror, store, locate, clock }: RecordSourceDependencies): RecordSource {
  return {
    recordsOf: (key) => store.recordsOf(key),
    list: (query) => store.list(query),
    ageMsOf: (owner) => {
      const heardAtMs = mirror.state(owner)?.heardAtMs ?? Number.NEGATIVE_INFINITY;
      return Math.max(0, Math.round(clock.monotonicMs() - heardAtMs));
    },
    subscribe: (listener: (record: SourceRecord) => void) =>
      mirror.subscribe((owner, { key, seq, body }) => {
        const epoch = mirror.state(owner)?.epoch ?? 0;
        listener({ owner, key, epoch, seq, body });
      }),
    locate: (key, signal) => locate(key, signal),
  };
}

/**
 * Throws a `PeerError` `peer_violation` for a record that no node writes. One of a newer version is kept, for a newer version of
 * this node to read.
 */
export function inspectRecord({ body }: LogRecord): void {
  if (body === undefined) return;
  try {
    readRecord(body);
  } catch (error) {
    if (error instanceof RecordError && error.code === 'record_version') return;
    throw new PeerError('peer_violation', `malformed job record: ${messageOf(error)}`, { cause: error });
  }
}
