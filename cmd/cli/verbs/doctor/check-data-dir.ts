import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../../../src/kernel/errors.ts';
import { bytes } from '../../screen/format.ts';
import { fail, ok, warn, type Finding } from './finding.ts';

/** A store of ten thousand jobs and its log fit into this. */
const LOW_SPACE_BYTES = 512 * 1024 ** 2;
const NO_SPACE_BYTES = 32 * 1024 ** 2;

/** Whether the store can be written. What is missing is not made: a node does that itself. */
export async function* checkDataDir(directory: string): AsyncGenerator<Finding> {
  const existing = await nearestExisting(directory);
  try {
    if (!(await stat(existing)).isDirectory()) {
      yield fail(
        'data directory',
        `${existing} is not a directory`,
        'move it away, or give another --data-dir',
      );
      return;
    }
    await access(existing, constants.W_OK | constants.X_OK);
    yield ok('data directory', existing === directory ? directory : `${directory} can be made`);
  } catch (error) {
    yield fail(
      'data directory',
      messageOf(error),
      'give this user the right to write there, or another --data-dir',
    );
    return;
  }
  yield await checkSpace(existing);
}

async function checkSpace(directory: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  const text = `${bytes(free)} free at ${directory}`;
  const remedy = 'make room, or give a --data-dir on another disk';
  if (free < NO_SPACE_BYTES) return fail('disk', text, remedy);
  return free < LOW_SPACE_BYTES ? warn('disk', text, remedy) : ok('disk', text);
}

async function nearestExisting(path: string): Promise<string> {
  for (let candidate = path; ; candidate = dirname(candidate)) {
    const isThere = await stat(candidate).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
    );
    if (isThere || candidate === dirname(candidate)) return candidate;
  }
}
