import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A library as somebody might write one: a procedure, a weak one, and much that is not for others. */
export const SOURCE = `
  extern int printf(const char *, ...);
  int DISCON(void) { return printf("hello"); }
  int discon_(void) { return 1; }
  __attribute__((weak)) int weak_one(void) { return 2; }
  __attribute__((visibility("hidden"))) int hidden_one(void) { return 3; }
  __attribute__((visibility("protected"))) int protected_one(void) { return 4; }
  static int static_one(void) { return 5; }
  int (*uses_it)(void) = static_one;
  __thread int thread_local_one = 6;
`;

/** What the compiler makes of a source text; `output` names the file, since linkers look at names. */
export function compile(source: string, options: readonly string[], output = 'out'): Buffer {
  return inDirectory((directory) => {
    const input = join(directory, 'source.c');
    writeFileSync(input, source);
    run('gcc', [...options, '-o', join(directory, output), input]);
    return readFileSync(join(directory, output));
  });
}

export function library(source = SOURCE, options: readonly string[] = []): Buffer {
  return compile(source, ['-shared', '-fPIC', ...options]);
}

/** What `program` writes when it is given a file of this content as its last argument. */
export function outputOf(program: string, options: readonly string[], content: Buffer): string {
  return inDirectory((directory) => {
    const file = join(directory, 'file');
    writeFileSync(file, content);
    return run(program, [...options, file]);
  });
}

/** The file as a program leaves it that works in place. */
export function changedBy(program: string, options: readonly string[], content: Buffer): Buffer {
  return inDirectory((directory) => {
    const file = join(directory, 'file');
    writeFileSync(file, content);
    run(program, [...options, file]);
    return readFileSync(file);
  });
}

function run(program: string, options: readonly string[]): string {
  try {
    return execFileSync(program, options, {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 ** 2,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`no ${program} on this machine; run: apt-get install -y gcc libc6-dev`, { cause: error });
  }
}

function inDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'cm-library-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
