import { closeSync, fsyncSync, openSync } from 'node:fs';

/** The name of a file, and that there is none any more, is on disk only once its directory is. Fails as the system calls do. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
