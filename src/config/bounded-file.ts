import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What a configuration file may hold: a thousand times what a person writes. */
export const MAX_FILE_BYTES = 256 * 1024;

export interface FileContent {
  readonly text: string;
  /** Permission bits, such as 0o600. */
  readonly mode: number;
}

/** The content of a regular file of at most `MAX_FILE_BYTES`; otherwise throws an Error that says what is wrong. */
export function readBoundedFile(file: string): FileContent {
  const descriptor = openSync(file, 'r');
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error('it is not a file');
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < buffer.length; length += got) {
      got = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_BYTES) throw new Error(`it is longer than ${MAX_FILE_BYTES} bytes`);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
    return { text, mode: stat.mode & 0o777 };
  } finally {
    closeSync(descriptor);
  }
}
