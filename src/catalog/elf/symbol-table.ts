import type { ElfBytes } from './bytes.ts';

/** Libraries of the largest projects have some ten thousand. */
export const MAX_SYMBOLS = 262_144;

/** Where the symbols that others can use stand in the file, and their names. */
export interface SymbolTable {
  readonly offset: number;
  readonly count: number;
  readonly entrySize: number;
  readonly names: { readonly offset: number; readonly size: number };
}

export function symbolBytes(bytes: ElfBytes): number {
  return bytes.is64Bit ? 24 : 16;
}
