import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { invariant } from '../kernel/errors.ts';

/** Read and written by the owner only. */
const SECRET_MODE = 0o600;

/**
 * The content of a secret file, which the first caller creates: exclusively, whole and on disk before it has its
 * name, so that two starting nodes agree and a crash leaves no half-written key. Refuses a file others can read.
 */
export function readOrCreateSecretFile(file: string, create: () => string): string {
  const existing = readSecretFile(file);
  if (existing !== undefined) return existing;
  const draft = `${file}.${process.pid}.draft`;
  const descriptor = openSync(draft, 'w', SECRET_MODE);
  try {
    writeFileSync(descriptor, create());
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  try {
    // Unlike rename, link fails when somebody was first; theirs counts.
    linkSync(draft, file);
    syncDirectory(dirname(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const settled = readSecretFile(file);
  invariant(settled !== undefined, `${file} was just created`);
  return settled;
}

/** A name is on disk only once its directory is. */
function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function readSecretFile(file: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if ((fstatSync(descriptor).mode & 0o077) !== 0) {
      throw new Error(`${file} can be read by others; run: chmod 600 ${file}`);
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}
