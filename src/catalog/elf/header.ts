import { ElfBytes } from './bytes.ts';
import { ElfError } from './errors.ts';

/** Of the gABI, chapter 4, "ELF Header" and "Program Header". */
const CLASSES: ReadonlyMap<number, boolean> = new Map([
  [1, false],
  [2, true],
]);
const LITTLE_ENDIAN = 1;
const BIG_ENDIAN = 2;
const IDENT_BYTES = 16;
/** The program headers' count does not fit: it stands in the first section's header. */
const PN_XNUM = 0xffff;
/** More than any linker makes. */
const MAX_SEGMENTS = 4096;
const MAX_SECTIONS = 65_536;

export const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/** What a file is for. */
export const ELF_TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'an object file that was never linked'],
  [2, 'a program'],
  [3, 'a shared object'],
  [4, 'a core dump'],
]);
export const ET_DYN = 3;

export interface ElfHeader {
  readonly bytes: ElfBytes;
  readonly type: number;
  readonly machine: number;
  readonly segments: readonly Segment[];
  readonly sections: SectionTable | undefined;
}

export interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** Where the headers of the sections stand. */
export interface SectionTable {
  readonly offset: number;
  readonly count: number;
  readonly entrySize: number;
}

/** Reads what a file says of itself. Throws an `ElfError`. */
export function readHeader(data: Buffer): ElfHeader {
  if (data.length < IDENT_BYTES) throw new ElfError('it is cut off, or points beyond its end');
  const is64Bit = CLASSES.get(data.readUInt8(4));
  const order = data.readUInt8(5);
  if (is64Bit === undefined) throw new ElfError('it is neither of 32 nor of 64 bits');
  if (order !== LITTLE_ENDIAN && order !== BIG_ENDIAN) throw new ElfError('it has no known order of bytes');
  const bytes = new ElfBytes(data, is64Bit, order === LITTLE_ENDIAN);
  const sections = sectionTable(bytes);
  return {
    bytes,
    type: bytes.u16(16),
    machine: bytes.u16(18),
    segments: segmentsOf(bytes, sections),
    sections,
  };
}

function sectionTable(bytes: ElfBytes): SectionTable | undefined {
  const offset = bytes.word(bytes.is64Bit ? 40 : 32);
  const sizes = bytes.is64Bit ? 58 : 46;
  const entrySize = bytes.u16(sizes);
  const shortCount = bytes.u16(sizes + 2);
  if (offset === 0 || entrySize < (bytes.is64Bit ? 64 : 40)) return undefined;
  // Headers that were cut off, or taken out, are as good as none: a program loads without them.
  if (offset + entrySize > bytes.data.length) return undefined;
  // A count that does not fit stands in the first header.
  const count = shortCount === 0 ? bytes.word(offset + (bytes.is64Bit ? 32 : 20)) : shortCount;
  if (count > MAX_SECTIONS || offset + count * entrySize > bytes.data.length) return undefined;
  return { offset, count, entrySize };
}

function segmentsOf(bytes: ElfBytes, sections: SectionTable | undefined): Segment[] {
  const offset = bytes.word(bytes.is64Bit ? 32 : 28);
  const sizes = bytes.is64Bit ? 54 : 42;
  const entrySize = bytes.u16(sizes);
  const count = segmentCount(bytes, bytes.u16(sizes + 2), sections);
  if (count === 0) return [];
  if (count > MAX_SEGMENTS) throw new ElfError(`it has more than ${MAX_SEGMENTS} segments`);
  if (entrySize < (bytes.is64Bit ? 56 : 32)) throw new ElfError('its segments have headers of no known size');
  bytes.need(offset, count * entrySize);
  return Array.from({ length: count }, (_, index) => {
    const at = offset + index * entrySize;
    return bytes.is64Bit
      ? {
          type: bytes.u32(at),
          offset: bytes.u64(at + 8),
          address: bytes.u64(at + 16),
          fileSize: bytes.u64(at + 32),
        }
      : {
          type: bytes.u32(at),
          offset: bytes.u32(at + 4),
          address: bytes.u32(at + 8),
          fileSize: bytes.u32(at + 16),
        };
  });
}

function segmentCount(bytes: ElfBytes, count: number, sections: SectionTable | undefined): number {
  if (count !== PN_XNUM || sections === undefined) return count;
  return bytes.u32(sections.offset + (bytes.is64Bit ? 44 : 28));
}
