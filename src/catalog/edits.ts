import {
  CHANGEABLE_FIELDS,
  type Controller,
  type ControllerChanges,
  type ControllerDraft,
  controllerDraftSchema,
  type ControllerRecord,
  DESCRIBED_FIELDS,
  idProblem,
} from './controller.ts';
import type { Edited } from './database/catalog-file.ts';
import { keyOf, MAX_CONTROLLERS } from './database/document.ts';
import { nameOf } from './discovery/report.ts';
import { CatalogError } from './errors.ts';
import { fieldProblem, fieldText } from './issue.ts';
import type { ValidationResult } from './validation/validator.ts';

/** What people and validations do to the records of the file. Pure: each gives other records, or fails with a `CatalogError`. */

type Records = readonly ControllerRecord[];

export function withNew(records: Records, draft: ControllerDraft, nowMs: number): Records {
  const checked = checkedDraft(draft);
  refuseTaken(records, checked);
  if (records.length >= MAX_CONTROLLERS) {
    throw new CatalogError(
      'catalog_full',
      `there are ${MAX_CONTROLLERS} controllers, which is the most there may be`,
    );
  }
  const now = new Date(nowMs).toISOString();
  return [...records, { ...checked, created_at: now, updated_at: now, is_valid: true, source: 'manual' }];
}

/**
 * Changes fields of an entry. One that was discovered stays so while only such fields are changed that no image speaks of;
 * otherwise it is the person's from then on. What was found of its library holds as long as that is the same.
 */
export function withChanges(
  records: Records,
  key: EntryKey,
  changes: ControllerChanges,
  nowMs: number,
): Edited<ControllerRecord> {
  const index = indexOf(records, key);
  const known = records[index] as ControllerRecord;
  const next = changed(known, changes);
  if (keyOf(next) !== keyOf(known)) refuseTaken(records, next);
  const isOwn = DESCRIBED_FIELDS.some((field) => Object.hasOwn(changes, field));
  const record: ControllerRecord = {
    ...(isSameSubject(known, next) ? next : withoutValidation(next)),
    updated_at: new Date(nowMs).toISOString(),
    ...(isOwn && known.source === 'discovered' ? { source: 'manual' } : {}),
  };
  return { records: records.with(index, record), result: record };
}

/** Every record of that key goes: one that did not count would count from then on. */
export function without(records: Records, key: EntryKey): Records {
  const { id, version } = records[indexOf(records, key)] as ControllerRecord;
  return records.filter((record) => keyOf(record) !== keyOf({ id, version }));
}

/** The same records where the entry is gone, or is about something else by now. */
export function withValidation(
  records: Records,
  subject: Controller,
  result: ValidationResult,
  options: {
    readonly verifySymbols: boolean;
    readonly liveTest: string | undefined;
    readonly nowMs: number;
  },
): Records {
  const index = records.findLastIndex((record) => keyOf(record) === keyOf(subject));
  const known = records[index];
  if (known === undefined || !isSameSubject(known, subject)) return records;
  return records.with(index, {
    ...known,
    is_valid: result.isValid,
    validate_info: result.info,
    validation: {
      digest: result.imageId,
      at: new Date(options.nowMs).toISOString(),
      library_path: subject.library_path,
      proc_name: subject.proc_name,
      verify_symbols: options.verifySymbols,
      ...(options.liveTest === undefined ? {} : { live_test: options.liveTest }),
      is_valid: result.isValid,
      info: result.info,
      ...(result.format === undefined ? {} : { format: result.format }),
    },
  });
}

/** Which entry is meant; the version may be left out where there is only one. */
export interface EntryKey {
  readonly id: string;
  readonly version: string | undefined;
}

function indexOf(records: Records, { id, version }: EntryKey): number {
  const versions = new Set(
    records.filter((record) => record.id === id).map((record) => record.version ?? ''),
  );
  if (versions.size === 0) throw new CatalogError('controller_not_found', `Controller not found: ${id}`);
  if (version === undefined && versions.size > 1) {
    const all = [...versions];
    throw new CatalogError('ambiguous', `${id} has the versions ${all.join(', ')}: say which one`, {
      details: { id, versions: all },
    });
  }
  const wanted = version ?? [...versions][0];
  const index = records.findLastIndex((record) => record.id === id && (record.version ?? '') === wanted);
  if (index === -1) throw new CatalogError('version_not_found', `Controller version not found: ${wanted}`);
  return index;
}

function refuseTaken(records: Records, { id, version }: ControllerRecord): void {
  if (!records.some((record) => keyOf(record) === keyOf({ id, version }))) return;
  throw new CatalogError('exists', `controller ${nameOf({ id, version })} exists already`, {
    details: { id, version: version ?? '' },
  });
}

/** As it is to be written: units as they were given, and nothing that is shared with the caller. */
function checkedDraft(draft: ControllerDraft): ControllerRecord {
  const id: unknown = draft.id;
  if (typeof id === 'string' && id.includes('.')) {
    throw new CatalogError('invalid_entry', idProblem(id) ?? '', { details: { field: 'id' } });
  }
  const read = controllerDraftSchema.safeParse(draft);
  if (read.success) return JSON.parse(JSON.stringify(draft)) as ControllerRecord;
  throw invalidEntry(fieldProblem(read.error, Object.keys(controllerDraftSchema.shape)));
}

function changed(known: ControllerRecord, changes: ControllerChanges): ControllerRecord {
  const next: Record<string, unknown> = { ...known };
  for (const [field, value] of Object.entries(changes)) {
    if (!CHANGEABLE_FIELDS.includes(field)) {
      throw invalidEntry({ path: [field], message: 'cannot be changed' });
    }
    if (value === null) delete next[field];
    else if (value !== undefined) next[field] = value;
  }
  // Ids of before are kept, whatever letters they have.
  const draft = Object.fromEntries(CHANGEABLE_FIELDS.map((field) => [field, next[field]]));
  const read = controllerDraftSchema.safeParse({ ...draft, id: 'any' });
  if (!read.success) throw invalidEntry(fieldProblem(read.error, CHANGEABLE_FIELDS));
  return JSON.parse(JSON.stringify(next)) as ControllerRecord;
}

function withoutValidation(record: ControllerRecord): ControllerRecord {
  const { validation: _validation, validate_info: _info, ...rest } = record;
  return { ...rest, is_valid: true };
}

type Subject = Pick<ControllerRecord, 'image' | 'library_path' | 'proc_name'>;

function isSameSubject(one: Subject, other: Subject): boolean {
  return (['image', 'library_path', 'proc_name'] as const).every(
    (field) => (one[field] ?? '') === (other[field] ?? ''),
  );
}

function invalidEntry(problem: ReturnType<typeof fieldProblem>): CatalogError {
  return new CatalogError('invalid_entry', fieldText(problem), {
    details: { field: problem.path.join('.') },
  });
}
