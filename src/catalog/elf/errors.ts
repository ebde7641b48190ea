/** A file that says it is ELF, and is not what that asks for. */
export class ElfError extends Error {
  override readonly name = 'ElfError';
}
