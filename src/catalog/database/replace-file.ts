import { chown, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** An entry's environment may hold secrets. */
const NEW_FILE_MODE = 0o600;

/**
 * Gives a file another content: whoever reads it sees the one or the other, whole, whenever the power is cut. A link stays
 * one, and rights and owner stay as they were. `isStillWanted` is asked at the last moment; false leaves everything as it is.
 */
export async function replaceFile(
  file: string,
  content: string,
  isStillWanted: () => Promise<boolean>,
): Promise<boolean> {
  const target = await realpath(file).catch(unlessThere(file));
  const old = await stat(target).catch(unlessThere(undefined));
  const draft = `${target}.draft`;
  // What a crash left of an earlier one is overwritten.
  await rm(draft, { force: true });
  try {
    await writeWhole(draft, content, (old?.mode ?? NEW_FILE_MODE) & 0o777);
    if (old !== undefined && old.uid !== process.geteuid?.()) await chown(draft, old.uid, old.gid);
    if (!(await isStillWanted())) return false;
    await rename(draft, target);
  } finally {
    await rm(draft, { force: true });
  }
  await using directory = await open(dirname(target), 'r');
  await directory.sync();
  return true;
}

async function writeWhole(file: string, content: string, mode: number): Promise<void> {
  await using handle = await open(file, 'wx', mode);
  await handle.writeFile(content);
  await handle.sync();
}

function unlessThere<Instead>(instead: Instead): (error: NodeJS.ErrnoException) => Instead {
  return (error) => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
}
