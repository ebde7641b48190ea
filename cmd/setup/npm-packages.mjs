import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { SetupError } from './progress.mjs';

/** The major version of Node that the project runs on, whatever the system has. */
export const NODE_MAJOR = 24;
/** The packages whose install scripts are needed: they put a program for this machine in place. */
export const BUILT_PACKAGES = ['node', 'esbuild'];

/**
 * What only the benchmarks need: the queue that ours is measured against. It is in no lock file, because its optional
 * parts for other platforms are not to be had everywhere, and `npm ci` refuses a lock file without them. A folder of its
 * own keeps its dependencies from changing the versions of ours.
 */
export const BENCH_PACKAGE = { name: 'bullmq', version: '5.81.5', folder: join('test', 'bench', '.rivals') };

const INSTALL_TIMEOUT_MS = 10 * 60_000;
const VERSION_TIMEOUT_MS = 10_000;

/**
 * Why the installed packages are not what the lock file says, or undefined when they are. Packages for other platforms
 * are optional and may be missing; one that somebody added for a try is theirs and stays. `installed` is npm's own
 * record of what it put into `node_modules`.
 */
export function packageDifference(locked, installed, isFolder) {
  if (installed === undefined) return 'they are not installed';
  for (const [path, entry] of Object.entries(locked.packages)) {
    if (path === '') continue;
    const have = installed.packages[path];
    if (have === undefined) {
      if (entry.optional || entry.devOptional || entry.peer) continue;
      return `${path} is missing`;
    }
    if (have.version !== entry.version || have.integrity !== entry.integrity)
      return `${path} is another version`;
    if (!isFolder(path)) return `${path} has gone`;
  }
  return undefined;
}

function readJson(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** Why `npm ci` must run in this folder, or undefined. */
export function installReason(root) {
  return packageDifference(
    readJson(join(root, 'package-lock.json')),
    readJson(join(root, 'node_modules', '.package-lock.json')),
    (path) => existsSync(join(root, path)),
  );
}

/** Whether the project's own Node is of the right major version and runs. */
export function isLocalNodeReady(root) {
  const program = join(root, 'node_modules', '.bin', 'node');
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: VERSION_TIMEOUT_MS });
  return stdout?.startsWith(`v${NODE_MAJOR}.`) ?? false;
}

/** Installs what the lock file names, without running any package's script. */
export async function installPackages(root) {
  await run(
    'Installing the npm packages',
    ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      timeoutMs: INSTALL_TIMEOUT_MS,
    },
  );
}

export function hasBenchPackage(root) {
  const { name, version, folder } = BENCH_PACKAGE;
  return readJson(join(root, folder, 'node_modules', name, 'package.json'))?.version === version;
}

/** Neither package.json nor the lock file is changed. */
export async function installBenchPackage(root) {
  const { name, version, folder } = BENCH_PACKAGE;
  const path = join(root, folder);
  mkdirSync(path, { recursive: true });
  const flags = [
    '--prefix',
    path,
    '--no-save',
    '--no-package-lock',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
  ];
  await run(`Installing ${name}`, ['npm', 'install', ...flags, '--loglevel=error', `${name}@${version}`], {
    cwd: path,
    timeoutMs: INSTALL_TIMEOUT_MS,
  });
}

/** Runs the install scripts of the few packages that need theirs, and checks what came of it. */
export async function buildPackages(root) {
  const command = ['npm', 'rebuild', ...BUILT_PACKAGES, '--ignore-scripts=false', '--loglevel=error'];
  await run(`Installing Node ${NODE_MAJOR}`, command, { cwd: root, timeoutMs: INSTALL_TIMEOUT_MS });
  if (!isLocalNodeReady(root)) {
    throw new SetupError(
      `Installing Node ${NODE_MAJOR} failed: \`${command.join(' ')}\` succeeded, but node_modules/.bin/node is not a ` +
        `Node ${NODE_MAJOR} that runs on this machine (${process.platform} ${process.arch}).`,
    );
  }
}
