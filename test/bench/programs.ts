import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Something that the benchmark starts is not on this machine. */
export class MissingProgramError extends Error {
  override readonly name = 'MissingProgramError';

  constructor(program: string) {
    super(`${program} is not installed; run: node cmd/setup.mjs --for-bench`);
  }
}

/** Where the program is; servers are where only the administrator looks for them. */
export function requireProgram(program: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const file = folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
  if (file === undefined) throw new MissingProgramError(program);
  return file;
}
