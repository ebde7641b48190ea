import { ElfError } from './errors.ts';
import type { ElfHeader, Segment } from './header.ts';
import { gnuHashSymbolCount, hashSymbolCount } from './hash-tables.ts';
import { symbolBytes, type SymbolTable } from './symbol-table.ts';

/** Of the gABI, chapter 5, "Program Header" and "Dynamic Section". */
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const TAG = {
  null: 0,
  hash: 4,
  stringTable: 5,
  symbolTable: 6,
  stringBytes: 10,
  symbolBytes: 11,
  gnuHash: 0x6ffffef5,
  flags1: 0x6ffffffb,
} as const;
/** A program that can be placed anywhere looks like a library but for this flag. */
const DF_1_PIE = 0x0800_0000;
/** More than any linker makes. */
const MAX_ENTRIES = 4096;

type DynamicSection = ReadonlyMap<number, number>;

/** What the dynamic linker is told, by tag; undefined for a file that is not linked dynamically. */
export function dynamicSection({ bytes, segments }: ElfHeader): DynamicSection | undefined {
  const segment = segments.find(({ type }) => type === PT_DYNAMIC);
  if (segment === undefined) return undefined;
  const entryBytes = bytes.is64Bit ? 16 : 8;
  bytes.need(segment.offset, segment.fileSize);
  const count = Math.min(Math.floor(segment.fileSize / entryBytes), MAX_ENTRIES);
  const values = new Map<number, number>();
  for (let index = 0; index < count; index += 1) {
    const at = segment.offset + index * entryBytes;
    const tag = bytes.word(at);
    if (tag === TAG.null) break;
    if (!values.has(tag)) values.set(tag, bytes.word(at + entryBytes / 2));
  }
  return values;
}

export function isProgram(section: DynamicSection): boolean {
  // Numbers of eight bytes may be too large for the operators on bits.
  return Math.floor((section.get(TAG.flags1) ?? 0) / DF_1_PIE) % 2 === 1;
}

/** The symbol table as the dynamic linker finds it: without the headers of sections. */
export function tableOfDynamic(header: ElfHeader, section: DynamicSection): SymbolTable | undefined {
  const { bytes } = header;
  const [symbols, names] = [section.get(TAG.symbolTable), section.get(TAG.stringTable)];
  if (symbols === undefined || names === undefined) return undefined;
  const entrySize = section.get(TAG.symbolBytes) ?? symbolBytes(bytes);
  return {
    offset: fileOffset(header.segments, symbols),
    count: symbolCount(header, section),
    entrySize,
    names: {
      offset: fileOffset(header.segments, names),
      size: section.get(TAG.stringBytes) ?? 0,
    },
  };
}

/** The table itself does not say how long it is; the tables for looking names up do. */
function symbolCount(header: ElfHeader, section: DynamicSection): number {
  const [hash, gnuHash] = [section.get(TAG.hash), section.get(TAG.gnuHash)];
  if (hash !== undefined) return hashSymbolCount(header, fileOffset(header.segments, hash));
  if (gnuHash !== undefined) return gnuHashSymbolCount(header.bytes, fileOffset(header.segments, gnuHash));
  throw new ElfError('it has no table by which its symbols could be looked up');
}

function fileOffset(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    ({ type, address: start, fileSize }) =>
      type === PT_LOAD && address >= start && address < start + fileSize,
  );
  if (segment === undefined) throw new ElfError('it points to an address that nothing is loaded to');
  return segment.offset + (address - segment.address);
}
