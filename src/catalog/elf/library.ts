import { dynamicSection, isProgram, tableOfDynamic } from './dynamic.ts';
import { ElfError } from './errors.ts';
import { ELF_MAGIC, ELF_TYPES, ET_DYN, readHeader } from './header.ts';
import { machineOf } from './machines.ts';
import { exportedNames, tableOfSections } from './symbols.ts';

/** A shared library of Linux. */
export interface SharedLibrary {
  /** For people: `ELF 64-bit amd64`. */
  readonly format: string;
  /** As engines name it: `amd64`; undefined for one that no engine runs on. */
  readonly architecture: string | undefined;
  /** What it lets others call; fails with an `ElfError` where its tables make no sense. */
  exportedNames(): Iterable<string>;
}

/** What can be told of a file: a library, or why it is none, as the end of a sentence that begins with its name. */
export type LibraryFile =
  | { readonly kind: 'library'; readonly library: SharedLibrary }
  | { readonly kind: 'other'; readonly problem: string };

/** Looks at a file's head and tables; none of its code is run. Never throws, whatever the file holds. */
export function readLibrary(data: Buffer): LibraryFile {
  const foreign = foreignFormat(data);
  if (foreign !== undefined) return { kind: 'other', problem: foreign };
  try {
    return readElf(data);
  } catch (error) {
    if (error instanceof ElfError)
      return { kind: 'other', problem: `is a broken ELF file: ${error.message}` };
    throw error;
  }
}

function readElf(data: Buffer): LibraryFile {
  const header = readHeader(data);
  const { bytes, type, machine } = header;
  const { name, architecture } = machineOf(machine, bytes);
  const format = `ELF ${bytes.is64Bit ? 64 : 32}-bit ${name}`;
  const problem = `is no shared object: it is ${ELF_TYPES.get(type) ?? `of the unknown type ${type}`} (${format})`;
  if (type !== ET_DYN) return { kind: 'other', problem };
  const section = dynamicSection(header);
  if (section === undefined) return { kind: 'other', problem: `is not linked dynamically (${format})` };
  if (isProgram(section)) {
    return { kind: 'other', problem: `is no shared object: it is a program (${format})` };
  }
  return {
    kind: 'library',
    library: {
      format,
      architecture,
      *exportedNames() {
        const table = tableOfSections(header) ?? tableOfDynamic(header, section);
        if (table !== undefined) yield* exportedNames(bytes, table);
      },
    },
  };
}

/** Other kinds of files that stand where a library should. */
const FOREIGN: readonly (readonly [is: (data: Buffer) => boolean, problem: string])[] = [
  [(data) => data.length === 0, 'is empty'],
  [isWindows, 'is a Windows library (PE), which Linux cannot load'],
  [isMac, 'is a macOS library (Mach-O), which Linux cannot load'],
  [(data) => beginsWith(data, '!<arch>\n'), 'is a static library (ar archive), which cannot be loaded'],
  [(data) => beginsWith(data, '#!'), 'is a script'],
  [
    (data) => beginsWith(data, '/* GNU ld script') || beginsWith(data, 'INPUT') || beginsWith(data, 'GROUP'),
    'is a text for the linker that names a library, not the library itself',
  ],
  [(data) => !data.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC), 'is no ELF file'],
];

function foreignFormat(data: Buffer): string | undefined {
  return FOREIGN.find(([is]) => is(data))?.[1];
}

/** "MZ", which alone is two letters: the header that it leads to must be there too. */
function isWindows(data: Buffer): boolean {
  if (!beginsWith(data, 'MZ') || data.length < 64) return false;
  const offset = data.readUInt32LE(60);
  return data.subarray(offset, offset + 4).equals(Buffer.from('PE\0\0'));
}

/** Either order of bytes, of 32 and 64 bits; and files for several machines. */
const MAC_MAGIC: ReadonlySet<number> = new Set([0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe]);

function isMac(data: Buffer): boolean {
  return data.length >= 4 && MAC_MAGIC.has(data.readUInt32BE(0));
}

function beginsWith(data: Buffer, text: string): boolean {
  return data.subarray(0, text.length).equals(Buffer.from(text));
}
