import { type Controller, hasControls } from './controller.ts';
import { CatalogError } from './errors.ts';
import { compareVersions, rangeOf } from './versions.ts';

/** What a client asks with, as it arrived. An empty text is as good as none. */
export interface ControllerQuery {
  readonly controller?: string | undefined;
  readonly version?: string | undefined;
  readonly path?: string | undefined;
  readonly proc?: string | undefined;
}

/** Which controller serves a connection, and with what. */
export interface Resolution {
  readonly controller: Controller;
  readonly libraryPath: string;
  readonly procName: string;
  /** The client sent a path that named no controller, and the entry does not let it replace the library path. */
  readonly isPathIgnored: boolean;
}

/** In characters. */
export const QUERY_LIMITS = { controller: 128, version: 128, path: 4096, proc: 256 } as const;

/** Serves those who ask for nothing in particular. */
export const DEFAULT_ID = 'default';

/**
 * Which of the entries, in the order of the file, a query means. Pure; fails with a `CatalogError` when it means none.
 *
 * 1. `controller`: that id. 2. `path`: the id that is the whole of it, else the one that is its last piece between hyphens.
 * 3. Neither names one: all entries. `version` narrows each of them: to those of exactly this text, else to those within it
 * as a range. Of what remains the highest version serves; where neither an id nor a version was asked for, the default
 * does. Invalid entries are passed over. Equals are told apart by place: those of the default's id first, then the first in
 * the file. The default is the highest version of the id `default`, else the first entry of the file.
 */
export function resolve(entries: readonly Controller[], query: ControllerQuery): Resolution {
  const asked = checked(query);
  if (entries.length === 0) throw new CatalogError('no_controllers', 'No controllers available');
  const ofPath = asked.path === undefined ? undefined : namedByPath(entries, asked.path);
  const controller = choose(entries, asked, ofPath);
  const isLibraryPath = asked.path !== undefined && ofPath === undefined;
  return {
    controller,
    libraryPath: isLibraryPath && controller.allow_path ? (asked.path as string) : controller.library_path,
    procName: asked.proc ?? controller.proc_name,
    isPathIgnored: isLibraryPath && !controller.allow_path,
  };
}

/** The entries of an id, the highest version first. */
export function versionsOf(entries: readonly Controller[], id: string): Controller[] {
  // The sort is stable: equals stay in the order of the file.
  return entries
    .filter((entry) => entry.id === id)
    .toSorted((one, other) => compareVersions(one.version, other.version));
}

function choose(
  entries: readonly Controller[],
  { controller, version }: ControllerQuery,
  ofPath: readonly Controller[] | undefined,
): Controller {
  if (controller !== undefined) {
    const named = versionsOf(entries, controller);
    if (named.length === 0) {
      throw new CatalogError('controller_not_found', `Controller not found: ${controller}`, {
        details: { controller },
      });
    }
    return firstValid(narrowed(named, version));
  }
  if (ofPath !== undefined) return firstValid(narrowed(ofPath, version));
  if (version !== undefined) return firstValid(ranked(narrowed(entries, version), favouredId(entries)));
  return defaultOf(entries);
}

function namedByPath(entries: readonly Controller[], path: string): readonly Controller[] | undefined {
  const whole = versionsOf(entries, path);
  if (whole.length > 0) return whole;
  const lastPiece = versionsOf(entries, path.slice(path.lastIndexOf('-') + 1));
  return lastPiece.length > 0 ? lastPiece : undefined;
}

/** Those of that version, in the order given; fails when there is none. */
function narrowed(candidates: readonly Controller[], version: string | undefined): readonly Controller[] {
  if (version === undefined) return candidates;
  const exact = candidates.filter((entry) => entry.version === version);
  if (exact.length > 0) return exact;
  const isWithin = rangeOf(version) ?? (() => false);
  const within = candidates.filter((entry) => isWithin(entry.version));
  if (within.length > 0) return within;
  throw new CatalogError('version_not_found', `Controller version not found: ${version}`, {
    details: { version },
  });
}

/** The highest version first; of equals those of the favoured id. */
function ranked(candidates: readonly Controller[], favoured: string | undefined): Controller[] {
  return candidates.toSorted(
    (one, other) =>
      compareVersions(one.version, other.version) ||
      Number(other.id === favoured) - Number(one.id === favoured),
  );
}

function favouredId(entries: readonly Controller[]): string | undefined {
  return entries.some((entry) => entry.id === DEFAULT_ID) ? DEFAULT_ID : entries[0]?.id;
}

function defaultOf(entries: readonly Controller[]): Controller {
  const candidates = [...versionsOf(entries, DEFAULT_ID), ...entries];
  const found = candidates.find((entry) => entry.is_valid);
  if (found !== undefined) return found;
  const [worst] = candidates;
  throw new CatalogError(
    'no_controllers',
    `No controllers available: none of the ${entries.length} is valid${worst === undefined ? '' : `; ${problemOf(worst)}`}`,
  );
}

function firstValid(candidates: readonly Controller[]): Controller {
  const found = candidates.find((entry) => entry.is_valid);
  if (found !== undefined) return found;
  const [named] = candidates as readonly [Controller];
  throw new CatalogError('controller_invalid', `Controller is not valid: ${problemOf(named)}`, {
    details: { controller: named.id, version: named.version },
  });
}

function problemOf({ id, version, validate_info }: Controller): string {
  return `${id} ${version}: ${validate_info ?? 'no reason is known'}`;
}

/** The query without empty texts; fails when one is too long, or would spoil a line of a log or a header. */
function checked(query: ControllerQuery): ControllerQuery {
  const asked: { -readonly [Name in keyof ControllerQuery]: ControllerQuery[Name] } = {};
  for (const name of Object.keys(QUERY_LIMITS) as (keyof typeof QUERY_LIMITS)[]) {
    const value = query[name];
    if (value === undefined || value === '') continue;
    const limit = QUERY_LIMITS[name];
    if (value.length > limit) throw badQuery(name, `must be at most ${limit} characters`);
    if (hasControls(value)) throw badQuery(name, 'must not contain control characters');
    asked[name] = value;
  }
  return asked;
}

function badQuery(name: string, problem: string): CatalogError {
  return new CatalogError('bad_query', `Error parsing query parameters: ${name} ${problem}`, {
    details: { parameter: name },
  });
}
