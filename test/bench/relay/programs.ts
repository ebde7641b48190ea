import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const SOURCES = join(import.meta.dirname, 'native');
const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra'];
const PARTS = {
  echo: ['echo.c', 'frame.c', 'net.c'],
  load: ['load.c', 'client.c', 'frame.c', 'net.c'],
} as const;

/** What stands on both sides of a proxy: in C, so that it is not what is measured. */
export interface RelayPrograms {
  readonly echo: string;
  readonly load: string;
}

/** Compiles them into a folder. */
export async function buildRelayPrograms(folder: string): Promise<RelayPrograms> {
  const compile = async (name: keyof typeof PARTS): Promise<string> => {
    const program = join(folder, `relay-${name}`);
    await run('gcc', [...FLAGS, ...PARTS[name].map((file) => join(SOURCES, file)), '-o', program]);
    return program;
  };
  const [echo, load] = await Promise.all([compile('echo'), compile('load')]);
  return { echo, load };
}
