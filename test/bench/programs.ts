import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Something that the benchmark starts is not on this machine. */
export class MissingProgramError extends Error {
  override readonly name = 'MissingProgramError';

  constructor(program: string) {
    super(`${program} is not installed; run: node cmd/setup.mjs --for-bench`);
  }
}

export function requireProgram(program: string): void {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  if (!folders.some((folder) => existsSync(join(folder, program)))) throw new MissingProgramError(program);
}
