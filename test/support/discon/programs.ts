import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { access, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

const SOURCES = fileURLToPath(new URL('.', import.meta.url));
const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-s'];
/** A shared library, and what makes it differ from the others of the same source. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  'libdiscon.so': [],
  'libnosymbol.so': ['-DWITHOUT_DISCON'],
  'libcrash.so': ['-DCRASH_AT_LOAD'],
};

/** Where the compiled parts are, side by side in one folder. */
export interface DisconPrograms {
  readonly folder: string;
  readonly server: string;
  /** Exports `DISCON` and `CONTROL`. */
  readonly controller: string;
  /** Exports `CONTROL` alone. */
  readonly withoutSymbol: string;
  /** Ends the process that loads it. */
  readonly crashesAtLoad: string;
  /** Bytes that no loader takes. */
  readonly notALibrary: string;
}

let built: Promise<DisconPrograms> | undefined;

/** Compiles the server and its controllers, unless another run has done it from the same sources. */
export function buildDisconPrograms(): Promise<DisconPrograms> {
  built ??= buildOnce();
  return built;
}

async function buildOnce(): Promise<DisconPrograms> {
  const folder = join(tmpdir(), `cm-discon-${await sourceHash()}`);
  const server = join(folder, 'discon-server');
  const isThere = await access(server).then(
    () => true,
    () => false,
  );
  if (!isThere) await compileInto(folder);
  return {
    folder,
    server,
    controller: join(folder, 'libdiscon.so'),
    withoutSymbol: join(folder, 'libnosymbol.so'),
    crashesAtLoad: join(folder, 'libcrash.so'),
    notALibrary: join(folder, 'not-a-library.so'),
  };
}

async function compileInto(folder: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cm-discon-build-'));
  try {
    const parts = globSync(join(SOURCES, 'server/*.c')).toSorted();
    await gcc([...parts, '-pthread', '-ldl', '-o', join(directory, 'discon-server')]);
    for (const [name, flags] of Object.entries(LIBRARIES)) {
      const shared = ['-shared', '-fPIC', ...flags, join(SOURCES, 'controller.c')];
      await gcc([...shared, '-o', join(directory, name)]);
    }
    await writeFile(join(directory, 'not-a-library.so'), 'this is not a library\n');
    // Whole or not at all, whoever else compiles the same at the same time.
    await rename(directory, folder);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOTEMPTY', 'EEXIST'].includes(code)) throw error;
  }
}

async function gcc(options: readonly string[]): Promise<void> {
  try {
    await run('gcc', [...FLAGS, ...options]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('no C compiler on this machine; run: apt-get install -y gcc libc6-dev', { cause: error });
  }
}

async function sourceHash(): Promise<string> {
  const files = globSync(join(SOURCES, '{controller.c,server/*.[ch]}')).toSorted();
  const hash = createHash('sha256').update(JSON.stringify([FLAGS, LIBRARIES, process.arch]));
  for (const file of files) hash.update(`\0${basename(file)}\0`).update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
}
