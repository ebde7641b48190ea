import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSetup } from './load-setup.ts';

interface Entry {
  readonly version: string;
  readonly integrity?: string;
  readonly optional?: boolean;
}
interface Lock {
  readonly packages: Record<string, Entry>;
}
interface NpmModule {
  NODE_MAJOR: number;
  BUILT_PACKAGES: readonly string[];
  packageDifference(
    locked: Lock,
    installed: Lock | undefined,
    isFolder: (path: string) => boolean,
  ): string | undefined;
  installReason(root: string): string | undefined;
  isLocalNodeReady(root: string): boolean;
}
interface Row {
  readonly debian: string;
  readonly program: string;
  readonly why: string;
  readonly service?: string;
}
interface SystemModule {
  SYSTEM_PACKAGES: readonly Row[];
  wantedPackages(wanted: { forTests?: boolean; forBench?: boolean }): Row[];
  parseInstalled(output: string): Set<string>;
  findProgram(program: string, path: string): string | undefined;
  missingPackages(rows: readonly Row[], isDebian: boolean): Row[];
  missingPackagesMessage(missing: readonly Row[], isDebian: boolean): string;
}

const npm = await loadSetup<NpmModule>('npm-packages.mjs');
const system = await loadSetup<SystemModule>('system-packages.mjs');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-packages-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('npm packages', () => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const locked: Lock = {
    packages: {
      '': { version: '0' },
      'node_modules/a': a,
      'node_modules/other-cpu': { ...a, optional: true },
    },
  };
  const always = (): boolean => true;

  it('are right when they are what the lock file says, less what is for other platforms', () => {
    expect(npm.packageDifference(locked, { packages: { 'node_modules/a': a } }, always)).toBeUndefined();
  });

  it.each<[string, Lock | undefined, string]>([
    ['nothing is installed', undefined, 'they are not installed'],
    ['one is missing', { packages: {} }, 'node_modules/a is missing'],
    [
      'one has another version',
      { packages: { 'node_modules/a': { ...a, version: '1.0.1' } } },
      'node_modules/a is another version',
    ],
    [
      'one has another content',
      { packages: { 'node_modules/a': { ...a, integrity: 'sha512-b' } } },
      'node_modules/a is another version',
    ],
  ])('are wrong when %s', (_what, installed, reason) => {
    expect(npm.packageDifference(locked, installed, always)).toBe(reason);
  });

  it('may be joined by others, which whoever added them keeps', () => {
    const installed = { packages: { 'node_modules/a': a, 'node_modules/b': a } };
    expect(npm.packageDifference(locked, installed, always)).toBeUndefined();
  });

  it('are wrong when a folder was removed', () => {
    const installed = { packages: { 'node_modules/a': a } };
    expect(npm.packageDifference(locked, installed, () => false)).toBe('node_modules/a has gone');
  });

  it('of this very project are found to be in place, and those of an empty folder not', () => {
    expect(npm.installReason(process.cwd())).toBeUndefined();
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(locked));
    expect(npm.installReason(folder)).toBe('they are not installed');
  });

  it('include a Node of the right version that runs', () => {
    expect(npm.isLocalNodeReady(process.cwd())).toBe(true);
    expect(npm.isLocalNodeReady(folder)).toBe(false);
    const bin = join(folder, 'node_modules', '.bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'node'), '#!/bin/sh\necho v20.1.0\n');
    chmodSync(join(bin, 'node'), 0o755);
    expect(npm.isLocalNodeReady(folder)).toBe(false);
  });

  it('run the same install scripts that package.json allows, for the same Node', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
      allowScripts?: Record<string, boolean>;
      devDependencies: Record<string, string>;
    };
    const allowed = Object.entries(manifest.allowScripts ?? {}).filter(([, isAllowed]) => isAllowed);
    expect(npm.BUILT_PACKAGES.toSorted()).toEqual(allowed.map(([name]) => name).toSorted());
    expect(manifest.devDependencies['node']).toMatch(new RegExp(`^\\^${npm.NODE_MAJOR}\\.`));
  });
});

describe('packages of the system', () => {
  it('are wanted for the purpose that needs them only', () => {
    const names = (wanted: { forTests?: boolean; forBench?: boolean }): string[] =>
      system.wantedPackages(wanted).map((row) => row.debian);
    expect(names({})).toEqual([]);
    expect(names({ forTests: true })).toContain('docker-registry');
    expect(names({ forTests: true })).not.toContain('redis-server');
    expect(names({ forBench: true })).toContain('redis-server');
    expect(names({ forBench: true })).not.toContain('docker-registry');
    expect(names({ forTests: true, forBench: true })).toHaveLength(system.SYSTEM_PACKAGES.length);
  });

  it('count as installed only when dpkg says so in full', () => {
    const output = 'strace installed\nxfsprogs config-files\nwrk not-installed\n';
    expect([...system.parseInstalled(output)]).toEqual(['strace']);
  });

  it('elsewhere than on Debian are looked for by their program', () => {
    writeFileSync(join(folder, 'setup-test-program'), '');
    expect(system.findProgram('setup-test-program', folder)).toBeUndefined();
    chmodSync(join(folder, 'setup-test-program'), 0o755);
    expect(system.findProgram('setup-test-program', folder)).toBe(join(folder, 'setup-test-program'));
    const row = { debian: 'x', program: 'setup-test-program', why: 'a test' };
    expect(system.missingPackages([row], false)).toEqual([row]);
    expect(system.missingPackages([{ ...row, program: 'sh' }], false)).toEqual([]);
  });

  it('that are missing are named with why, and with the command where there is one', () => {
    const missing = system.wantedPackages({ forTests: true });
    const onDebian = system.missingPackagesMessage(missing, true);
    for (const row of missing) expect(onDebian).toContain(`${row.debian}: ${row.why}`);
    expect(onDebian).toMatch(
      /Run: sudo apt-get update && sudo apt-get install .*busybox-static docker-registry/,
    );
    expect(system.missingPackagesMessage(missing, false)).toContain('xfs_io: ');
  });
});
