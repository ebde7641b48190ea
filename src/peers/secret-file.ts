import { randomUUID } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { invariant } from '../kernel/errors.ts';
import { syncDirectory } from '../kernel/sync-directory.ts';

/** Read and written by the owner only. */
const SECRET_MODE = 0o600;

/**
 * The content of a secret file, which the first caller creates: exclusively, whole and on disk before it has its
 * name, so that two starting nodes agree and a crash leaves no half-written key. Refuses a file others can read.
 */
export function readOrCreateSecretFile(file: string, create: () => string): string {
  const existing = readSecretFile(file);
  if (existing !== undefined) return existing;
  withDraft(file, create(), (draft) => {
    // Unlike rename, link fails when somebody was first; theirs counts.
    if (linkUnlessThere(draft, file)) syncDirectory(dirname(file));
  });
  const settled = readSecretFile(file);
  invariant(settled !== undefined, `${file} was just created`);
  return settled;
}

/** The content of a secret file, or undefined where there is none. Refuses a file others can read. */
export function readSecretFile(file: string): string | undefined {
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

/** Most contents that are kept of one file. */
const MAX_KEPT = 100;

/**
 * Gives a secret file another content, and keeps the one it had beside it under a number: `cluster.key.1`. Whatever
 * happens on the way, the file has the one content or the other, whole. Returns the name under which the old one is kept.
 */
export function replaceSecretFile(file: string, content: string): string {
  const kept = keep(file);
  const { uid, gid } = statSync(file);
  withDraft(file, content, (draft) => {
    // Whoever may do it for the owner, such as root, must not take the file away from it.
    if (uid !== process.geteuid?.()) chownSync(draft, uid, gid);
    renameSync(draft, file);
    syncDirectory(dirname(file));
  });
  return kept;
}

/** Contents that the file had before, oldest first. */
export function keptSecrets(file: string): { readonly file: string; readonly content: string }[] {
  const kept: { file: string; content: string }[] = [];
  for (let number = 1; number <= MAX_KEPT; number += 1) {
    const name = `${file}.${number}`;
    const content = readSecretFile(name);
    if (content !== undefined) kept.push({ file: name, content });
  }
  return kept;
}

function keep(file: string): string {
  const current = readSecretFile(file);
  // A replacement that a crash cut short has kept it already.
  const known = keptSecrets(file).find(({ content }) => content === current);
  if (known !== undefined) return known.file;
  for (let number = 1; number <= MAX_KEPT; number += 1) {
    const name = `${file}.${number}`;
    if (!linkUnlessThere(file, name)) continue;
    syncDirectory(dirname(file));
    return name;
  }
  throw new Error(
    `${file} has ${MAX_KEPT} old ones kept beside it; remove those that are of no use any more`,
  );
}

/** Writes the content beside the file, whole and on disk, lets `use` give it a name, and takes the draft away. */
function withDraft(file: string, content: string, use: (draft: string) => void): void {
  // Nodes in containers that share a volume have the same process id.
  const draft = `${file}.${randomUUID()}.draft`;
  const descriptor = openSync(draft, 'wx', SECRET_MODE);
  try {
    try {
      writeFileSync(descriptor, content);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    use(draft);
  } finally {
    rmSync(draft, { force: true });
  }
}

function linkUnlessThere(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
