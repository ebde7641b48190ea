import { formatSize } from '../../kernel/size.ts';
import type { InstanceFile } from '../../runtime/driver.ts';
import { plainLine } from '../plain-line.ts';
import { ElfError } from '../elf/errors.ts';
import { readLibrary, type SharedLibrary } from '../elf/library.ts';
import { isKnownArchitecture, runsOn } from '../elf/machines.ts';
import { isFortranName, nearNames } from './near-names.ts';

/** Far larger than any controller; what is larger is not read. */
export const MAX_LIBRARY_BYTES = 128 * 1024 ** 2;

/** Names that are looked through for what might have been meant. */
const MAX_HINT_NAMES = 20_000;

export interface LibraryCheck {
  readonly libraryPath: string;
  readonly procName: string;
  /** Whether a library without the procedure is wrong; otherwise that is a warning. */
  readonly verifySymbols: boolean;
  /** Of the engine, and of the image. */
  readonly engine: string;
  readonly image: string;
}

/** What was found, in words that people know from other programs. */
export interface Verdict {
  readonly isValid: boolean;
  readonly info: string;
  /** What the library is, where it is one. */
  readonly format: string | undefined;
}

export function noLibraryPath(): Verdict {
  return invalid('Library path not specified, validation failed');
}

/** Judges what stands in the image under the library path. Pure; never throws, whatever the file holds. */
export function checkLibrary(check: LibraryCheck, file: InstanceFile): Verdict {
  const { libraryPath } = check;
  switch (file.kind) {
    case 'missing':
      return invalid(`Library file not found at path: ${libraryPath}`);
    case 'not_a_file':
      return invalid(`Library file not found at path: ${libraryPath}; what is there is no file`);
    case 'too_large': {
      const limit = formatSize(MAX_LIBRARY_BYTES);
      return invalid(`Library file at ${libraryPath} is larger than ${limit}: ${file.bytes} bytes`);
    }
    case 'file':
      return checkContent(check, file.data);
  }
}

function checkContent(check: LibraryCheck, data: Buffer): Verdict {
  const { libraryPath, engine, image } = check;
  const found = readLibrary(data);
  if (found.kind === 'other') return invalid(`Library file at ${libraryPath} ${found.problem}`);
  const { format, architecture } = found.library;
  // An engine of a machine that is not known here knows best what it runs.
  if (isKnownArchitecture(engine) && (architecture === undefined || !runsOn(engine, image, architecture))) {
    const problem = `is for another machine: it is ${format}, and the engine runs ${engine}`;
    return { ...invalid(`Library file at ${libraryPath} ${problem}`), format };
  }
  try {
    return { ...checkSymbol(check, found.library), format };
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ...invalid(`Library file at ${libraryPath} is a broken ELF file: ${error.message}`), format };
  }
}

function checkSymbol(check: LibraryCheck, library: SharedLibrary): Verdict {
  const { libraryPath, procName, verifySymbols } = check;
  const valid = `Controller is valid, library file exists at ${libraryPath}`;
  if (procName === '')
    return { isValid: true, info: `${valid}; Warning: no procedure is named`, format: undefined };
  const names: string[] = [];
  for (const name of library.exportedNames()) {
    if (name === procName) return { isValid: true, info: valid, format: undefined };
    if (names.length < MAX_HINT_NAMES) names.push(name);
  }
  const hint = hintOf(procName, names);
  if (verifySymbols) return invalid(`Library file at ${libraryPath}: symbol ${procName} not found${hint}`);
  return bounded(true, `${valid}; Warning: Symbol ${procName} not found${hint}`);
}

function hintOf(procName: string, names: readonly string[]): string {
  const near = nearNames(procName, names);
  if (near.length === 0) return names.length === 0 ? '; the library exports nothing' : '';
  const fortran = near.some((name) => isFortranName(procName, name))
    ? `; a Fortran procedure gets its name by bind(C, name="${procName}")`
    : '';
  return `; did you mean ${near.join(' or ')}?${fortran}`;
}

function invalid(info: string): Verdict {
  return bounded(false, info);
}

function bounded(isValid: boolean, info: string): Verdict {
  return { isValid, info: plainLine(info), format: undefined };
}
