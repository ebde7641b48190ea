import { execFileSync, spawnSync } from 'node:child_process';

/** Administrators' programs are not on everybody's path. */
const PATH = `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Fails, with the command that mends it, where a fault cannot be made: a promise that is not shown is not kept. */
export function requirePrograms(...programs: readonly string[]): void {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length > 0)
    throw new Error(`${missing.join(', ')} not found; run: node cmd/setup.mjs --for-tests`);
}

/** Mounts and loop devices are root's. */
export function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error('this test mounts file systems; run: sudo npm run faults');
}

/** Runs a program to its end and gives what it said. Throws with its error output when it fails. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH },
  });
}

function isThere(program: string): boolean {
  const found = spawnSync('sh', ['-c', 'command -v "$0"', program], { env: { ...process.env, PATH } });
  return found.status === 0;
}
