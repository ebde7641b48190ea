import type { Job } from './job.ts';
import { decodeRecord, RecordError } from './record.ts';

/** What was read of bytes, as long as somebody holds them: they are checked, filed and shown by different parts, one after the other. */
const read = new WeakMap<Uint8Array, Job>();

/** As `decodeRecord`, once for the same bytes. */
export function readRecord(bytes: Uint8Array): Job {
  let job = read.get(bytes);
  if (job === undefined) {
    job = decodeRecord(bytes);
    read.set(bytes, job);
  }
  return job;
}

/** What a list of records is searched and ordered by; undefined for a record that is not understood here. */
export function facetsOf(
  bytes: Uint8Array,
): { state: string; name: string | undefined; createdAtMs: number } | undefined {
  try {
    const { state, spec, createdAtMs } = readRecord(bytes);
    return { state, name: spec.name, createdAtMs };
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}
