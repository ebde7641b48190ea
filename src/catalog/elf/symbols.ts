import type { ElfBytes } from './bytes.ts';
import { ElfError } from './errors.ts';
import type { ElfHeader } from './header.ts';
import { MAX_SYMBOLS, symbolBytes, type SymbolTable } from './symbol-table.ts';

/** Longer names are somebody's, but no procedure's that a person could ask for. */
export const MAX_NAME_BYTES = 256;

/** Of the gABI, chapter 4, "Sections" and "Symbol Table". */
const SHT_DYNSYM = 11;
const SHN_UNDEF = 0;
/** Global, weak, and GNU's unique. */
const SHARED_BINDINGS: ReadonlySet<number> = new Set([1, 2, 10]);
/** Sections, file names and thread-local data are nothing that can be called. */
const UNCALLABLE_TYPES: ReadonlySet<number> = new Set([3, 4, 6]);
/** Default and protected; internal and hidden ones are not for others. */
const SHARED_VISIBILITIES: ReadonlySet<number> = new Set([0, 3]);

/** The table of dynamic symbols, as the headers of the sections say. */
export function tableOfSections({ bytes, sections }: ElfHeader): SymbolTable | undefined {
  if (sections === undefined) return undefined;
  for (let index = 0; index < sections.count; index += 1) {
    const at = sections.offset + index * sections.entrySize;
    if (bytes.u32(at + 4) !== SHT_DYNSYM) continue;
    const link = bytes.u32(at + (bytes.is64Bit ? 40 : 24));
    if (link >= sections.count) throw new ElfError('its symbols have no names');
    const [offset, size] = placeOf(bytes, at);
    const [namesOffset, namesSize] = placeOf(bytes, sections.offset + link * sections.entrySize);
    const entrySize = bytes.word(at + (bytes.is64Bit ? 56 : 36)) || symbolBytes(bytes);
    const count = Math.floor(size / entrySize);
    return { offset, count, entrySize, names: { offset: namesOffset, size: namesSize } };
  }
  return undefined;
}

function placeOf(bytes: ElfBytes, header: number): [offset: number, size: number] {
  return bytes.is64Bit
    ? [bytes.u64(header + 24), bytes.u64(header + 32)]
    : [bytes.u32(header + 16), bytes.u32(header + 20)];
}

/** The names that others can call. Holds no more than the one at hand. */
export function* exportedNames(bytes: ElfBytes, table: SymbolTable): Generator<string> {
  const { offset, count, entrySize, names } = table;
  if (count > MAX_SYMBOLS) throw new ElfError(`it has more than ${MAX_SYMBOLS} symbols`);
  if (entrySize < symbolBytes(bytes)) throw new ElfError('its symbols are of no known size');
  bytes.need(offset, count * entrySize);
  bytes.need(names.offset, names.size);
  const end = names.offset + names.size;
  for (let index = 0; index < count; index += 1) {
    const at = offset + index * entrySize;
    if (!isExported(bytes, at)) continue;
    const start = names.offset + bytes.u32(at);
    const name = start < end ? nameAt(bytes.data.subarray(start, end)) : undefined;
    if (name !== undefined) yield name;
  }
}

function isExported(bytes: ElfBytes, at: number): boolean {
  const [info, other, section] = bytes.is64Bit
    ? [bytes.u8(at + 4), bytes.u8(at + 5), bytes.u16(at + 6)]
    : [bytes.u8(at + 12), bytes.u8(at + 13), bytes.u16(at + 14)];
  return (
    section !== SHN_UNDEF &&
    SHARED_BINDINGS.has(info >> 4) &&
    !UNCALLABLE_TYPES.has(info & 15) &&
    SHARED_VISIBILITIES.has(other & 3)
  );
}

function nameAt(from: Buffer): string | undefined {
  const length = from.subarray(0, MAX_NAME_BYTES + 1).indexOf(0);
  return length <= 0 ? undefined : from.toString('utf8', 0, length);
}
