import type { ElfBytes } from './bytes.ts';
import { ElfError } from './errors.ts';
import type { ElfHeader } from './header.ts';
import { MAX_SYMBOLS } from './symbol-table.ts';

/** The one machine whose 64-bit files have words of eight bytes in their hash table. */
const EM_S390 = 22;

/** Of the gABI's hash table: its chains have one entry for each symbol. */
export function hashSymbolCount({ bytes, machine }: ElfHeader, offset: number): number {
  return machine === EM_S390 && bytes.is64Bit ? bytes.u64(offset + 8) : bytes.u32(offset + 4);
}

/**
 * Of GNU's: each bucket names its first symbol, and the last one of a chain is marked by its lowest bit, so that the end
 * of the chain that begins last is the end of the table.
 */
export function gnuHashSymbolCount(bytes: ElfBytes, offset: number): number {
  const bucketCount = bytes.u32(offset);
  const firstSymbol = bytes.u32(offset + 4);
  const bloomWords = bytes.u32(offset + 8);
  const buckets = offset + 16 + bloomWords * (bytes.is64Bit ? 8 : 4);
  const chains = buckets + bucketCount * 4;
  if (bucketCount > MAX_SYMBOLS) throw new ElfError(`it has more than ${MAX_SYMBOLS} symbols`);
  bytes.need(buckets, bucketCount * 4);
  let last = 0;
  for (let index = 0; index < bucketCount; index += 1) {
    last = Math.max(last, bytes.u32(buckets + index * 4));
  }
  if (last < firstSymbol) return firstSymbol;
  while (last < MAX_SYMBOLS && bytes.u32(chains + (last - firstSymbol) * 4) % 2 === 0) last += 1;
  return last + 1;
}
