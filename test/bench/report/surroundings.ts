import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';

/** What the figures were measured on; without it they say nothing. */
export interface Surroundings {
  readonly node: string;
  readonly sqlite: string | undefined;
  readonly cores: number;
  readonly processor: string;
  /** Of the last minute, when the run began: others may have been at work. */
  readonly load: number;
  readonly fileSystem: string;
  readonly commit: string | undefined;
}

export function surroundings(directory: string): Surroundings {
  return {
    node: process.versions.node,
    sqlite: process.versions['sqlite'],
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    load: loadavg()[0] ?? 0,
    fileSystem: fileSystemOf(directory),
    commit: commit(),
  };
}

/** `statfs(2)`'s magic numbers of those that are met often. */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x2fc12fc1, 'zfs'],
  [0x794c7630, 'overlayfs'],
  [0x01021994, 'tmpfs'],
]);

export function fileSystemOf(directory: string): string {
  const { type } = statfsSync(directory);
  return FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
}

function commit(): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    // Not a repository: then there is none.
    return undefined;
  }
}
