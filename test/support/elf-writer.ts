/** Writes the smallest libraries there can be, of either width and order of bytes. */

export interface ElfShape {
  readonly is64Bit: boolean;
  readonly isLittleEndian: boolean;
  readonly machine: number;
  /** Whether the headers of sections are there; the dynamic linker needs none. */
  readonly hasSections: boolean;
  readonly hash: 'sysv' | 'gnu' | 'none';
}

interface Field {
  readonly size: 1 | 2 | 4 | 8;
  readonly value: number;
}

/** All is loaded where it stands, plus this. */
const BASE_ADDRESS = 0x10000;
const GLOBAL_FUNCTION = 0x12;
/** Any section that is there will do. */
const DEFINED_IN = 1;

/** A shared object that exports these names, and needs one that it does not define. */
export function writeLibrary(shape: ElfShape, names: readonly string[]): Buffer {
  const { is64Bit, isLittleEndian, machine } = shape;
  const word = is64Bit ? 8 : 4;
  const all = ['undefined_one', ...names];
  const strings = Buffer.from(`\0${all.join('\0')}\0`);
  const nameAt = (name: string): number => strings.indexOf(Buffer.from(`\0${name}\0`)) + 1;

  const encode = (fields: readonly Field[]): Buffer =>
    Buffer.concat(fields.map((field) => encodeField(field)));
  const encodeField = ({ size, value }: Field): Buffer => {
    const bytes = Buffer.alloc(size);
    if (size === 8) {
      if (isLittleEndian) bytes.writeBigUInt64LE(BigInt(value));
      else bytes.writeBigUInt64BE(BigInt(value));
    } else if (isLittleEndian) bytes.writeUIntLE(value, 0, size);
    else bytes.writeUIntBE(value, 0, size);
    return bytes;
  };
  const u8 = (value: number): Field => ({ size: 1, value });
  const u16 = (value: number): Field => ({ size: 2, value });
  const u32 = (value: number): Field => ({ size: 4, value });
  const uWord = (value: number): Field => ({ size: word, value });

  const symbol = (name: number, info: number, section: number): Buffer =>
    is64Bit
      ? encode([u32(name), u8(info), u8(0), u16(section), uWord(0), uWord(0)])
      : encode([u32(name), u32(0), u32(0), u8(info), u8(0), u16(section)]);
  const symbols = Buffer.concat([
    symbol(0, 0, 0),
    ...all.map((name, index) => symbol(nameAt(name), GLOBAL_FUNCTION, index === 0 ? 0 : DEFINED_IN)),
  ]);
  const symbolCount = all.length + 1;
  const hash =
    shape.hash === 'gnu'
      ? // One bucket, whose chain is all defined symbols; the bloom filter lets everything through.
        encode([
          ...[1, 2, 1, 0].map(u32),
          uWord(is64Bit ? 2 ** 52 : 0xffff_ffff),
          u32(2),
          ...names.map((_name, index) => u32(index === names.length - 1 ? 1 : 2)),
        ])
      : encode([1, symbolCount, 1, ...Array.from({ length: symbolCount }, () => 0)].map(u32));

  const headerBytes = is64Bit ? 64 : 52;
  const segmentBytes = is64Bit ? 56 : 32;
  const stringsAt = headerBytes + 2 * segmentBytes;
  const symbolsAt = align(stringsAt + strings.length);
  const hashAt = align(symbolsAt + symbols.length);
  const dynamicAt = align(hashAt + hash.length);
  const tags: [tag: number, value: number][] = [
    [5, BASE_ADDRESS + stringsAt],
    [6, BASE_ADDRESS + symbolsAt],
    [10, strings.length],
    [11, is64Bit ? 24 : 16],
    ...(shape.hash === 'none'
      ? []
      : [[shape.hash === 'gnu' ? 0x6ffffef5 : 4, BASE_ADDRESS + hashAt] as [number, number]]),
    [0, 0],
  ];
  const dynamic = encode(tags.flatMap(([tag, value]) => [uWord(tag), uWord(value)]));
  const sectionsAt = align(dynamicAt + dynamic.length);

  const segment = (type: number, offset: number, size: number): Buffer => {
    const [flags, at, address] = [u32(5), uWord(offset), uWord(BASE_ADDRESS + offset)];
    const sizes = [uWord(size), uWord(size)];
    return is64Bit
      ? encode([u32(type), flags, at, address, address, ...sizes, uWord(8)])
      : encode([u32(type), at, address, address, ...sizes, flags, uWord(4)]);
  };
  const section = (type: number, offset: number, size: number, link: number, entry: number): Buffer =>
    encode([
      u32(0),
      u32(type),
      uWord(0),
      uWord(0),
      uWord(offset),
      uWord(size),
      u32(link),
      u32(0),
      uWord(1),
      uWord(entry),
    ]);
  const sections = shape.hasSections
    ? Buffer.concat([
        section(0, 0, 0, 0, 0),
        section(11, symbolsAt, symbols.length, 2, is64Bit ? 24 : 16),
        section(3, stringsAt, strings.length, 0, 0),
      ])
    : Buffer.alloc(0);

  const header = Buffer.concat([
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, is64Bit ? 2 : 1, isLittleEndian ? 1 : 2, 1, 0]),
    Buffer.alloc(8),
    encode([
      ...[u16(3), u16(machine), u32(1), uWord(0), uWord(headerBytes)],
      ...[uWord(shape.hasSections ? sectionsAt : 0), u32(0), u16(headerBytes), u16(segmentBytes), u16(2)],
      ...[u16(is64Bit ? 64 : 40), u16(shape.hasSections ? 3 : 0), u16(0)],
    ]),
  ]);
  const parts: [offset: number, bytes: Buffer][] = [
    [0, header],
    [headerBytes, segment(1, 0, sectionsAt)],
    [headerBytes + segmentBytes, segment(2, dynamicAt, dynamic.length)],
    [stringsAt, strings],
    [symbolsAt, symbols],
    [hashAt, hash],
    [dynamicAt, dynamic],
    [sectionsAt, sections],
  ];
  const file = Buffer.alloc(sectionsAt + sections.length);
  for (const [offset, bytes] of parts) bytes.copy(file, offset);
  return file;
}

function align(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}
