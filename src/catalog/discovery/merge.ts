import { isDeepStrictEqual } from 'node:util';
import type { ImageSummary } from '../../runtime/driver.ts';
import type { ControllerRecord } from '../controller.ts';
import type { Edited } from '../database/catalog-file.ts';
import { keyOf, MAX_CONTROLLERS } from '../database/document.ts';
import { type DiscoveredController, readImage } from './image-labels.ts';
import { type DiscoveryReport, nameOf, type SkippedImage } from './report.ts';

/** Of an entry that was found and not looked into yet: it is not served until then. */
export const NOT_VALIDATED = 'Not validated yet';

export interface MergeOptions {
  /** Whether an entry that was discovered goes with its image. */
  readonly removeMissing: boolean;
  /** Whether what is new is served only once it was validated. */
  readonly isValidating: boolean;
  readonly nowMs: number;
}

/** The very list of records that was given when nothing changed. */
export type Merged = Edited<DiscoveryReport>;

/**
 * What the file is to hold, given what it holds and which images there are. Pure. Entries made by hand are never touched.
 * Of those that were discovered, the image decides what describes it; what a person set beside that stays.
 */
export function mergeImages(
  records: readonly ControllerRecord[],
  images: readonly ImageSummary[],
  options: MergeOptions,
): Merged {
  const { found, skipped } = readAll(images);
  const names = { added: [] as string[], updated: [] as string[], unchanged: [] as string[] };
  const merged = [...records];
  for (const controller of found) {
    const { draft } = controller;
    const index = merged.findLastIndex((record) => keyOf(record) === keyOf(draft));
    const known = merged[index];
    if (known === undefined) {
      if (merged.length >= MAX_CONTROLLERS) {
        skipped.push(skip(controller, `there are ${MAX_CONTROLLERS} controllers already`));
        continue;
      }
      merged.push(added(controller, options));
      names.added.push(nameOf(draft));
    } else if (known.source !== 'discovered') {
      skipped.push(skip(controller, `${nameOf(draft)} was made by hand, and stays as it is`));
    } else {
      const next = updated(known, controller, options);
      names[next === known ? 'unchanged' : 'updated'].push(nameOf(draft));
      merged[index] = next;
    }
  }
  const kept = options.removeMissing ? merged.filter((record) => !isGone(record, images)) : merged;
  const removed = merged.filter((record) => !kept.includes(record)).map(nameOf);
  const isSame = kept.length === records.length && kept.every((record, index) => record === records[index]);
  return {
    records: isSame ? records : kept,
    result: { atMs: options.nowMs, ...names, removed, skipped },
  };
}

/** One controller for each id and version: of several images the newest. The order is that of the names. */
function readAll(images: readonly ImageSummary[]): {
  found: DiscoveredController[];
  skipped: SkippedImage[];
} {
  const byKey = new Map<string, DiscoveredController>();
  const skipped: SkippedImage[] = [];
  const newestFirst = images.toSorted(
    (one, other) => other.createdAtMs - one.createdAtMs || (one.id < other.id ? -1 : 1),
  );
  for (const image of newestFirst) {
    const read = readImage(image);
    if (read.kind === 'skipped') {
      skipped.push(read.skipped);
      continue;
    }
    const { controller } = read;
    const key = keyOf(controller.draft);
    const newer = byKey.get(key);
    if (newer === undefined) byKey.set(key, controller);
    else {
      const what = `${newer.draft.image}, which is newer, is ${nameOf(controller.draft)} too`;
      skipped.push(skip(controller, what));
    }
  }
  const found = [...byKey].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);
  return { found, skipped };
}

function skip({ draft }: DiscoveredController, reason: string): SkippedImage {
  return { image: draft.image, reason };
}

function added({ draft, digest, createdAt }: DiscoveredController, options: MergeOptions): ControllerRecord {
  const now = new Date(options.nowMs).toISOString();
  return {
    ...draft,
    created_at: createdAt ?? now,
    updated_at: now,
    ...(options.isValidating ? { is_valid: false, validate_info: NOT_VALIDATED } : { is_valid: true }),
    source: 'discovered',
    digest,
  };
}

/** The same record when the image says nothing new. */
function updated(
  known: ControllerRecord,
  { draft, digest }: DiscoveredController,
  options: MergeOptions,
): ControllerRecord {
  const described = { ...known, ...draft, digest };
  if (isDeepStrictEqual(described, known)) return withoutWait(known, options);
  const updated_at = new Date(options.nowMs).toISOString();
  const isSameLibrary = (['image', 'library_path', 'proc_name', 'digest'] as const).every(
    (field) => described[field] === known[field],
  );
  if (isSameLibrary) return { ...described, updated_at };
  const { validation: _validation, validate_info: _info, ...rest } = described;
  const state = options.isValidating ? { is_valid: false, validate_info: NOT_VALIDATED } : { is_valid: true };
  return { ...rest, updated_at, ...state };
}

/** Nobody validates any more: what waits for it need not. */
function withoutWait(known: ControllerRecord, { isValidating }: MergeOptions): ControllerRecord {
  if (isValidating || known.validate_info !== NOT_VALIDATED) return known;
  const { validate_info: _info, ...rest } = known;
  return { ...rest, is_valid: true };
}

/** An image without a tag is gone, too: nothing can be made from it by name. */
function isGone(record: ControllerRecord, images: readonly ImageSummary[]): boolean {
  if (record.source !== 'discovered') return false;
  return !images.some(
    ({ id, tags, digests }) =>
      tags.length > 0 && record.digest !== undefined && [id, ...digests].includes(record.digest),
  );
}
