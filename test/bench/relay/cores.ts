import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The one that is measured has a core of its own; what loads it has the other. */
export const CORES = { proxy: 0, load: 1 } as const;
type Core = (typeof CORES)[keyof typeof CORES];

export function requireTwoCores(): void {
  if (availableParallelism() < 2) throw new Error('a proxy is measured on a core of its own: two are needed');
}

/** A command that runs on one core only. */
export function pinned(core: Core, program: string, args: readonly string[]): [string, string[]] {
  return ['taskset', ['--cpu-list', String(core), program, ...args]];
}

/** Puts a process that runs already on one core, with all its threads. */
export async function pin(core: Core, pid: number): Promise<void> {
  await run('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)]);
}
