import { open } from 'node:fs/promises';

/** A thousand entries of four thousand bytes each. */
export const MAX_FILE_BYTES = 4 * 1024 ** 2;

/** The text of a regular file of at most `MAX_FILE_BYTES`; `undefined` when there is none. Otherwise fails, saying why. */
export async function readBounded(file: string): Promise<string | undefined> {
  let opened;
  try {
    opened = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  await using handle = opened;
  const { size } = await handle.stat().then((found) => {
    if (!found.isFile()) throw new Error('it is not a file');
    return found;
  });
  // One more than it had a moment ago, at which it is seen that it grew.
  const buffer = Buffer.alloc(Math.min(size, MAX_FILE_BYTES) + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length < buffer.length; length += got) {
    got = (await handle.read(buffer, length, buffer.length - length, null)).bytesRead;
  }
  if (length > MAX_FILE_BYTES) throw new Error(`it is longer than ${MAX_FILE_BYTES} bytes`);
  if (length === buffer.length) throw new Error('it grows while it is read');
  return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
}
