import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Floor {
  readonly minimum: string;
  /** The first safe version of each older major version that is still mended. */
  readonly olderLines?: readonly string[];
  readonly why: string;
}
interface Floors {
  readonly packages: readonly (Floor & { readonly package: string })[];
  readonly forbidden: readonly { readonly package: string; readonly why: string }[];
  readonly runtime: readonly (Floor & { readonly component: string })[];
}
interface LockedPackage {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}
interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts?: Readonly<Record<string, boolean>>;
}
type Lock = { readonly packages: Readonly<Record<string, LockedPackage>> };

/** Packages that ask to run a program when they are installed. One more is a decision, not an accident. */
const PACKAGES_WITH_INSTALL_SCRIPTS = ['cpu-features', 'esbuild', 'node', 'protobufjs', 'ssh2'];
/** Those that are let: each puts a program for this machine in place. The others work without. */
const ALLOWED_INSTALL_SCRIPTS = ['esbuild', 'node'];
/** Whoever writes one of these packages can run code on a developer's machine; on a host that runs the node. */
const MAX_PACKAGES = 440;
/** A hundred of them are libp2p and what it is made of: which network the peers speak is fixed by the product. */
const MAX_PRODUCTION_PACKAGES = 245;

const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
const floors = read('security-floors.json') as Floors;
const manifest = read('package.json') as Manifest;
const lock = read('package-lock.json') as Lock;

/** The locked packages, without the project itself. */
function packagesOf({ packages }: Lock): { name: string; path: string; entry: LockedPackage }[] {
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({ name: path.slice(path.lastIndexOf('node_modules/') + 13), path, entry }));
}

/** Whether a version is at least another. A pre-release comes before what it leads to. */
function isAtLeast(version: string, minimum: string): boolean {
  const [release = '', preRelease] = version.split('+')[0]!.split(/-(.*)/s);
  const have = release.split('.').map(Number);
  const want = minimum.split('.').map(Number);
  const differing = want.findIndex((part, index) => part !== have[index]);
  return differing === -1 ? preRelease === undefined : (have[differing] ?? 0) > want[differing]!;
}

function isSafe(version: string, { minimum, olderLines = [] }: Floor): boolean {
  const sameLine = olderLines.find((line) => line.split('.')[0] === version.split('.')[0]);
  return isAtLeast(version, sameLine ?? minimum);
}

function unsafePackages(checked: Lock): string[] {
  return packagesOf(checked).flatMap(({ name, path, entry }) => {
    const forbidden = floors.forbidden.find((row) => row.package === name);
    if (forbidden) return [`${path} must not be there: ${forbidden.why}`];
    const floor = floors.packages.find((row) => row.package === name);
    if (!floor || isSafe(entry.version, floor)) return [];
    return [`${path} is ${entry.version}, below ${floor.minimum}: ${floor.why}`];
  });
}

function unpinnedPackages(checked: Lock): string[] {
  return packagesOf(checked)
    .filter(
      ({ entry }) => !entry.integrity?.startsWith('sha512-') || entry.link || entry.resolved !== undefined,
    )
    .map(({ path }) => path);
}

describe('S1: the installed packages', () => {
  it('are at or above the versions that mended what is known', () => {
    expect(unsafePackages(lock)).toEqual([]);
  });

  it('are checked against floors that some of them meet', () => {
    const names = new Set(packagesOf(lock).map(({ name }) => name));
    const met = floors.packages.filter((row) => names.has(row.package)).map((row) => row.package);
    expect(met).toEqual(expect.arrayContaining(['node', 'ws', 'protobufjs', 'tar-fs']));
  });

  it('are all pinned by content, without a host to fetch from', () => {
    expect(unpinnedPackages(lock)).toEqual([]);
  });

  it('are those that package.json asks for', () => {
    const root = (read('package-lock.json') as { packages: { '': Manifest } }).packages[''];
    expect(root.dependencies).toEqual(manifest.dependencies);
    expect(root.devDependencies).toEqual(manifest.devDependencies);
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(lock.packages, name).toHaveProperty([`node_modules/${name}`]);
    }
  });

  it('ask to run programs in the known cases only, of which two are allowed', () => {
    const asking = packagesOf(lock).filter(({ entry }) => entry.hasInstallScript);
    expect(asking.map(({ name }) => name).toSorted()).toEqual(PACKAGES_WITH_INSTALL_SCRIPTS);
    const allowed = Object.entries(manifest.allowScripts ?? {}).filter(([, isAllowed]) => isAllowed);
    expect(allowed.map(([name]) => name).toSorted()).toEqual(ALLOWED_INSTALL_SCRIPTS);
  });

  it('are not more than somebody can answer for', () => {
    const packages = packagesOf(lock);
    expect(packages.length).toBeLessThanOrEqual(MAX_PACKAGES);
    expect(packages.filter(({ entry }) => !entry.dev).length).toBeLessThanOrEqual(MAX_PRODUCTION_PACKAGES);
  });
});

describe('S1: the runtime', () => {
  it.each(floors.runtime)('is recent enough: $component >= $minimum', ({ component, ...floor }) => {
    const version = process.versions[component];
    expect(version).toBeDefined();
    expect(isSafe(version!, floor), `${component} is ${version}: ${floor.why}`).toBe(true);
  });
});

describe('S1: the check itself', () => {
  it.each<[string, string, boolean]>([
    ['1.2.3', '1.2.3', true],
    ['1.2.4', '1.2.3', true],
    ['1.10.0', '1.9.9', true],
    ['2.0.0', '1.9.9', true],
    ['1.2.2', '1.2.3', false],
    ['1.9.9', '1.10.0', false],
    ['0.9.9', '1.0.0', false],
    ['1.2.3-rc.1', '1.2.3', false],
    ['1.2.4-rc.1', '1.2.3', true],
    ['3.51.3', '3.51.3', true],
    ['3.51.2', '3.51.3', false],
  ])('compares %s with %s', (version, minimum, expected) => {
    expect(isAtLeast(version, minimum)).toBe(expected);
  });

  it('finds what is too old in its own line, nested or not, and what must not be there', () => {
    const entry = (version: string): LockedPackage => ({ version, integrity: 'sha512-x' });
    const made: Lock = {
      packages: {
        'node_modules/ws': entry('8.20.1'),
        'node_modules/jayson/node_modules/ws': entry('7.5.9'),
        'node_modules/other/node_modules/ws': entry('7.5.10'),
        'node_modules/old/node_modules/ws': entry('6.2.3'),
        'node_modules/@chainsafe/libp2p-gossipsub': entry('14.1.2'),
        'node_modules/@libp2p/gossipsub': entry('17.1.1'),
      },
    };
    expect(unsafePackages(made).map((line) => line.split(':')[0])).toEqual([
      'node_modules/ws is 8.20.1, below 8.21.0',
      'node_modules/jayson/node_modules/ws is 7.5.9, below 8.21.0',
      'node_modules/old/node_modules/ws is 6.2.3, below 8.21.0',
      'node_modules/@chainsafe/libp2p-gossipsub must not be there',
    ]);
  });

  it('finds what is not pinned', () => {
    const made: Lock = {
      packages: {
        'node_modules/a': { version: '1.0.0' },
        'node_modules/b': { version: '1.0.0', integrity: 'sha1-x' },
        'node_modules/c': {
          version: '1.0.0',
          integrity: 'sha512-x',
          resolved: 'https://somewhere.example/c.tgz',
        },
        'node_modules/d': { version: '1.0.0', integrity: 'sha512-x' },
      },
    };
    expect(unpinnedPackages(made)).toEqual(['node_modules/a', 'node_modules/b', 'node_modules/c']);
  });
});
