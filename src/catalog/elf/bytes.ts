import { ElfError } from './errors.ts';

/** Bytes of a file whose numbers have this width and order. Nothing beyond the end is ever read: it fails instead. */
export class ElfBytes {
  readonly data: Buffer;
  readonly is64Bit: boolean;
  readonly isLittleEndian: boolean;

  constructor(data: Buffer, is64Bit: boolean, isLittleEndian: boolean) {
    this.data = data;
    this.is64Bit = is64Bit;
    this.isLittleEndian = isLittleEndian;
  }

  u8(offset: number): number {
    this.need(offset, 1);
    return this.data.readUInt8(offset);
  }

  u16(offset: number): number {
    this.need(offset, 2);
    return this.isLittleEndian ? this.data.readUInt16LE(offset) : this.data.readUInt16BE(offset);
  }

  u32(offset: number): number {
    this.need(offset, 4);
    return this.isLittleEndian ? this.data.readUInt32LE(offset) : this.data.readUInt32BE(offset);
  }

  u64(offset: number): number {
    this.need(offset, 8);
    const value = this.isLittleEndian ? this.data.readBigUInt64LE(offset) : this.data.readBigUInt64BE(offset);
    // What is larger can be no place in a file; where it is no place, such as in flags, it is not compared.
    return Number(value);
  }

  /** An address, an offset or a size: four bytes or eight. */
  word(offset: number): number {
    return this.is64Bit ? this.u64(offset) : this.u32(offset);
  }

  /** Fails unless there are so many bytes from there on. */
  need(offset: number, length: number): void {
    const isWithin =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(length) &&
      offset >= 0 &&
      length >= 0 &&
      offset + length <= this.data.length;
    if (!isWithin) throw new ElfError('it is cut off, or points beyond its end');
  }
}
