import { describe, expect, it } from 'vitest';
import {
  checkLibrary,
  type LibraryCheck,
  MAX_LIBRARY_BYTES,
} from '../../../src/catalog/validation/check-library.ts';
import { nearNames } from '../../../src/catalog/validation/near-names.ts';
import type { InstanceFile } from '../../../src/runtime/driver.ts';
import { writeLibrary } from '../../support/elf-writer.ts';

const AMD64 = { is64Bit: true, isLittleEndian: true, machine: 62, hasSections: true, hash: 'sysv' } as const;
const I386 = { ...AMD64, is64Bit: false, machine: 3 } as const;
const PATH = '/controller/libdiscon.so';

function check(file: InstanceFile, changes: Partial<LibraryCheck> = {}): string {
  const verdict = checkLibrary(
    {
      libraryPath: PATH,
      procName: 'DISCON',
      verifySymbols: true,
      engine: 'amd64',
      image: 'amd64',
      ...changes,
    },
    file,
  );
  return `${verdict.isValid ? 'valid' : 'invalid'}: ${verdict.info}`;
}

const library = (
  names: readonly string[],
  shape: Parameters<typeof writeLibrary>[0] = AMD64,
): InstanceFile => ({
  kind: 'file',
  data: writeLibrary(shape, names),
});

const VALID = `valid: Controller is valid, library file exists at ${PATH}`;

describe('a library', () => {
  it.each<[what: string, file: InstanceFile, changes: Partial<LibraryCheck>, verdict: string]>([
    ['with its procedure', library(['other', 'DISCON']), {}, VALID],
    ['that is not there', { kind: 'missing' }, {}, `invalid: Library file not found at path: ${PATH}`],
    [
      'that is a directory',
      { kind: 'not_a_file' },
      {},
      `invalid: Library file not found at path: ${PATH}; what is there is no file`,
    ],
    [
      'that is too large',
      { kind: 'too_large', bytes: MAX_LIBRARY_BYTES + 1 },
      {},
      `invalid: Library file at ${PATH} is larger than 128m: 134217729 bytes`,
    ],
    [
      'that is none',
      { kind: 'file', data: Buffer.from('hello') },
      {},
      `invalid: Library file at ${PATH} is no ELF file`,
    ],
    [
      'of another machine',
      library(['DISCON'], { ...AMD64, machine: 183 }),
      {},
      `invalid: Library file at ${PATH} is for another machine: it is ELF 64-bit arm64, and the engine runs amd64`,
    ],
    [
      'of 32 bits in an image of 64',
      library(['DISCON'], I386),
      {},
      `invalid: Library file at ${PATH} is for another machine: it is ELF 32-bit 386, and the engine runs amd64`,
    ],
    ['of 32 bits in an image of 32', library(['DISCON'], I386), { image: '386' }, VALID],
    ['of an engine that nobody knows', library(['DISCON']), { engine: 'vax' }, VALID],
    [
      'without its procedure',
      library(['other']),
      {},
      `invalid: Library file at ${PATH}: symbol DISCON not found`,
    ],
    [
      'without its procedure, where that is no reason',
      library(['other']),
      { verifySymbols: false },
      `${VALID}; Warning: Symbol DISCON not found`,
    ],
    [
      'that exports nothing',
      library([]),
      {},
      `invalid: Library file at ${PATH}: symbol DISCON not found; the library exports nothing`,
    ],
    [
      'of a Fortran compiler',
      library(['discon_', '__rosco_MOD_discon', 'avrswap_']),
      {},
      `invalid: Library file at ${PATH}: symbol DISCON not found; did you mean discon_ or __rosco_MOD_discon?; ` +
        'a Fortran procedure gets its name by bind(C, name="DISCON")',
    ],
    [
      'whose procedure has other letters',
      library(['Discon']),
      {},
      `invalid: Library file at ${PATH}: symbol DISCON not found; did you mean Discon?`,
    ],
    [
      'of which no procedure is named',
      library(['x']),
      { procName: '' },
      `${VALID}; Warning: no procedure is named`,
    ],
  ])('%s', (_what, file, changes, verdict) => {
    expect(check(file, changes)).toBe(verdict);
  });

  it('says what it is, and whatever its names are, in one line', () => {
    const verdict = checkLibrary(
      { libraryPath: PATH, procName: 'DISCON', verifySymbols: true, engine: 'amd64', image: 'amd64' },
      library(['discon\u001b[31m\n']),
    );
    expect(verdict.format).toBe('ELF 64-bit amd64');
    expect(verdict.info).toContain('did you mean discon?[31m??');
  });

  it('that is broken past its head is told to be', () => {
    const data = writeLibrary({ ...AMD64, hasSections: false, hash: 'none' }, ['DISCON']);
    expect(check({ kind: 'file', data })).toBe(
      `invalid: Library file at ${PATH} is a broken ELF file: it has no table by which its symbols could be looked up`,
    );
  });
});

describe('near names', () => {
  it.each<[wanted: string, names: string[], near: string[]]>([
    ['DISCON', ['x', 'discon_', 'DISCON_main', 'discon'], ['discon_', 'discon', 'DISCON_main']],
    ['DISCON', ['disc0n', 'DISCN', 'DISSCON', 'far'], ['disc0n', 'DISCN', 'DISSCON']],
    ['DISCON', ['printf', 'main'], []],
    ['_', ['a'], []],
  ])('of %s among %j', (wanted, names, near) => {
    expect(nearNames(wanted, names)).toEqual(near);
  });
});
