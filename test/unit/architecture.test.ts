import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** The client knows the node by its API alone, so that it starts at once. */
const CLIENT = [
  'src/kernel/',
  'src/api/client.ts',
  'src/api/wire.ts',
  'cmd/cli/',
  'cmd/cli/root-command.ts',
  'cmd/cli/main.ts',
  'cmd/cli/read-config.ts',
  'cmd/cli/verbs/cluster',
  'cmd/cli/verbs/config',
  'cmd/cli/verbs/doctor',
];

/**
 * Which part may import which. A part is every file whose path begins with its key, the longest key counts; a part may
 * import itself, and where a value names a file, that file alone. `types` are parts of which only types may be used.
 */
const PARTS: Readonly<
  Record<string, { readonly imports: readonly string[]; readonly types?: readonly string[] }>
> = {
  'src/kernel/': { imports: [] },
  'src/config/': { imports: ['src/kernel/'] },
  'src/telemetry/': { imports: ['src/kernel/'] },
  'src/peers/': domain([]),
  'src/runtime/': domain([]),
  'src/runtime/docker/': domain(['src/runtime/']),
  'src/runtime/swarm/': domain(['src/runtime/']),
  'src/runtime/proxmox/': domain(['src/runtime/']),
  'src/runtime/process/': domain(['src/runtime/']),
  'src/catalog/': domain(['src/runtime/']),
  'src/jobs/': domain(['src/runtime/']),
  'src/instances/': domain(['src/jobs/', 'src/runtime/', 'src/catalog/']),
  'src/placement/': domain(['src/jobs/', 'src/peers/', 'src/catalog/', 'src/runtime/']),
  'src/frontdoor/': domain(['src/instances/', 'src/catalog/']),
  'src/api/': domain(
    ['src/frontdoor/', 'src/instances/', 'src/jobs/', 'src/catalog/', 'src/peers/', 'src/placement/'],
    ['src/runtime/'],
  ),
  'src/store/': domain(['src/jobs/', 'src/catalog/', 'src/peers/']),
  'src/tether/': domain([]),
  'src/admin/': domain([]),
  'src/node': { imports: ['src/*'] },
  'cmd/': { imports: ['src/node.ts', 'src/config/', 'src/telemetry/', ...CLIENT] },
  'cmd/generate-docs.ts': { imports: ['src/config/', 'src/telemetry/', 'src/api/', 'src/kernel/'] },
  'cmd/cli/': { imports: CLIENT },
  // The two that turn the program into a node: its flags, and its start.
  'cmd/cli/root-command.ts': { imports: ['src/config/', ...CLIENT] },
  'cmd/cli/main.ts': { imports: ['cmd/daemon.ts', ...CLIENT] },
  // What the token of a cluster is, only the peers' part knows.
  'cmd/cli/read-config.ts': { imports: ['src/config/', 'src/peers/join-token.ts', ...CLIENT] },
  'cmd/cli/verbs/cluster': { imports: ['src/config/', 'src/peers/', ...CLIENT] },
  'cmd/cli/verbs/config': { imports: ['src/config/', ...CLIENT] },
  'cmd/cli/verbs/doctor': { imports: ['src/config/', ...CLIENT] },
  'cmd/demo': { imports: CLIENT },
  'cmd/setup': { imports: [] },
};

/** Everybody may use the kernel, and the types of what configures and watches it. */
function domain(imports: readonly string[], types: readonly string[] = []) {
  return { imports: ['src/kernel/', ...imports], types: ['src/config/', 'src/telemetry/', ...types] };
}

/** Packages that are used in few places; a name that ends in a slash stands for all that begin so. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  commander: ['cmd/'],
  // The demo makes its image itself, as no registry is needed to try the program.
  dockerode: ['src/runtime/docker/', 'cmd/demo'],
  jayson: ['src/api/'],
  libp2p: ['src/peers/'],
  '@libp2p/': ['src/peers/'],
  '@chainsafe/': ['src/peers/'],
  'node:sqlite': ['src/store/'],
  semver: ['src/catalog/'],
  ws: ['src/catalog/'],
  'tar-stream': ['src/runtime/docker/'],
};

/**
 * What a client command must not load, not even through others: each costs more than the command itself. A name that ends
 * in a slash stands for all that begin so.
 */
const SLOW_TO_LOAD = [
  '@chainsafe/',
  '@libp2p/',
  'dockerode',
  'jayson',
  'libp2p',
  'node:sqlite',
  'p-queue',
  'pino',
  'prom-client',
];
const CLIENT_ENTRIES = ['cmd/cli/', 'cmd/container-manager.ts'];

/** What no line may hold, in which files, and a line that shows it. */
const FORBIDDEN_TEXT: readonly { what: string; pattern: RegExp; in: RegExp; example: string }[] = [
  {
    what: 'a note of unfinished work',
    pattern: /\b(?:TODO|FIXME|XXX)\b/,
    in: /./,
    example: '// TODO: later',
  },
  {
    what: 'a test that is left out, or leaves others out',
    pattern: /\b(?:it|test|describe|suite|bench)(?:\.\w+)*\.(?:only|skip|todo|skipIf|runIf)\s*[(.`]/,
    in: /^test\//,
    example: "it.skip('works')",
  },
  {
    what: 'a switched-off type check',
    pattern: /@ts-(?:ignore|nocheck)/,
    in: /^(?:src|cmd|test)\/|\.[cm]?[jt]s$/,
    example: '// @ts-ignore',
  },
  {
    what: 'a switched-off lint rule',
    pattern: /eslint-disable/,
    in: /./,
    example: '/* eslint-disable eqeqeq */',
  },
  {
    what: 'the host of a package registry',
    pattern: /\bregistry\.(?:npm|yarn)\w*|^\s*(?:@[\w-]+:)?registry\s*=/,
    in: /./,
    example: 'registry=https://packages.example',
  },
  {
    what: "a path of somebody's machine",
    pattern: /(?<![\w.~$}-])\/(?:home|Users|root|work)\/(?!(?:me|you|user|node)\b)[\w.-]+/,
    in: /./,
    example: 'cd /home/somebody/project',
  },
];
/** Made by npm, held to its own rules below; and this file, which must name what it forbids. */
const NOT_READ_AS_TEXT = new Set(['package-lock.json', 'test/unit/architecture.test.ts']);

interface Import {
  readonly from: string;
  readonly specifier: string;
  /** The file it leads to, for a relative one. */
  readonly to: string | undefined;
  readonly isTypeOnly: boolean;
  /** Loaded together with the importing file, not when a line of it is reached. */
  readonly isStatic: boolean;
}

/** Every import and re-export of a source text, static, dynamic, or in a type. */
function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, isTypeOnly: boolean, isStatic: boolean): void => {
    const to = specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined;
    found.push({ from, specifier, to, isTypeOnly, isStatic });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, isTypeOnlyImport(node.importClause), true);
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      add(node.moduleSpecifier.text, node.isTypeOnly, true);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add((node.argument.literal as ts.StringLiteral).text, true, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      add(argument && ts.isStringLiteralLike(argument) ? argument.text : COMPUTED, false, false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(from, text, ts.ScriptTarget.Latest, false));
  return found;
}

/** Stands for a module whose name is known at run time only. */
const COMPUTED = '(computed)';

function isTypeOnlyImport(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  if (clause.name || !named || !ts.isNamedImports(named)) return false;
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

function partOf(file: string): string | undefined {
  return longestPrefix(Object.keys(PARTS), file);
}

function longestPrefix(prefixes: readonly string[], text: string): string | undefined {
  return prefixes.filter((prefix) => text.startsWith(prefix)).toSorted((a, b) => b.length - a.length)[0];
}

/** Which rule an import breaks, or undefined. */
function brokenRule(
  { from, specifier, to, isTypeOnly }: Import,
  files: ReadonlySet<string>,
): string | undefined {
  const part = partOf(from);
  if (part === undefined) return 'the importing file is in no part of the table';
  if (specifier === COMPUTED) return 'what is imported must be written out';
  if (to === undefined) return brokenPackageRule(from, specifier);
  if (to.endsWith('.json')) return undefined;
  if (!files.has(to)) return 'there is no such file';
  const rule = PARTS[part];
  const allowed = [...(rule?.imports ?? []), ...(isTypeOnly ? (rule?.types ?? []) : [])];
  const target = partOf(to) ?? to;
  if (target === part || allowed.includes(target) || allowed.includes(to)) return undefined;
  if (allowed.includes('src/*') && to.startsWith('src/')) return undefined;
  const isAllowedAsType = !isTypeOnly && rule?.types?.includes(target);
  return isAllowedAsType ? `${part} may use only types of ${target}` : `${part} may not import ${target}`;
}

function brokenPackageRule(from: string, specifier: string): string | undefined {
  if (partOf(from) === 'cmd/setup' && !specifier.startsWith('node:'))
    return 'nothing is installed when the set-up runs';
  const homes = PACKAGE_HOMES[longestPrefix(Object.keys(PACKAGE_HOMES), specifier) ?? ''];
  if (homes && !homes.some((home) => from.startsWith(home)))
    return `only ${homes.join(' and ')} may use this package`;
  if (specifier.startsWith('node:')) return undefined;
  if (builtinModules.includes(specifier)) return 'modules of Node are imported with the node: prefix';
  const declared = from.startsWith('src/')
    ? manifest.dependencies
    : { ...manifest.dependencies, ...manifest.devDependencies };
  return packageName(specifier) in declared ? undefined : 'the package is not declared in package.json';
}

function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function violationsOf(sources: ReadonlyMap<string, string>): string[] {
  const files = new Set(sources.keys());
  return allImports(sources).flatMap((found) => {
    const rule = brokenRule(found, files);
    return rule === undefined ? [] : [`${found.from} imports ${found.specifier}: ${rule}`];
  });
}

function allImports(sources: ReadonlyMap<string, string>): Import[] {
  return [...sources].flatMap(([file, text]) => importsOf(file, text));
}

/** The first circle of imports that is met from each file, as a path; type imports count. */
function cyclesOf(sources: ReadonlyMap<string, string>): string[] {
  const targets = Map.groupBy(allImports(sources), (found) => found.from);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start !== -1) cycles.push([...path.slice(start), file].join(' -> '));
    if (start !== -1 || done.has(file)) return;
    for (const { to } of targets.get(file) ?? []) if (to !== undefined) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of sources.keys()) visit(file, []);
  return cycles;
}

/** Which slow packages a client command would load, each with the way there. */
function slowClientImports(sources: ReadonlyMap<string, string>): string[] {
  const loaded = Map.groupBy(
    allImports(sources).filter((found) => found.isStatic && !found.isTypeOnly),
    (found) => found.from,
  );
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { to, specifier } of loaded.get(file) ?? []) {
      if (to !== undefined) visit(to, [...path, file]);
      else if (SLOW_TO_LOAD.some((name) => isOrBeginsWith(name, specifier)))
        found.push([...path, file, specifier].join(' -> '));
    }
  };
  for (const file of sources.keys()) {
    if (CLIENT_ENTRIES.some((entry) => file.startsWith(entry))) visit(file, []);
  }
  return found;
}

function isOrBeginsWith(name: string, specifier: string): boolean {
  return name.endsWith('/') ? specifier.startsWith(name) : packageName(specifier) === name;
}

function forbiddenText(file: string, text: string): string[] {
  if (NOT_READ_AS_TEXT.has(file)) return [];
  const rules = FORBIDDEN_TEXT.filter((rule) => rule.in.test(file));
  return text
    .split('\n')
    .flatMap((line, index) =>
      rules
        .filter(({ pattern }) => pattern.test(line))
        .map(({ what }) => `${file}:${index + 1} holds ${what}: ${line.trim().slice(0, 120)}`),
    );
}

function listFiles(...options: readonly string[]): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', ...options], {
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  });
  return listed.split('\0').filter((file) => file !== '' && existsSync(file));
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const tracked = listFiles();
const sources = new Map(
  // A file that is not added yet may be imported by one that is.
  listFiles('--cached', '--others', '--exclude-standard')
    .filter((file) => /^(?:src|cmd)\/.*\.m?[jt]s$/.test(file))
    .map((file) => [file, readFileSync(file, 'utf8')]),
);

describe('the source', () => {
  it('imports only what the table allows', () => {
    expect(sources.size).toBeGreaterThan(10);
    expect(violationsOf(sources)).toEqual([]);
  });

  it('has no circle of imports', () => {
    expect(cyclesOf(sources)).toEqual([]);
  });

  it('of the client loads nothing that is slow to load', () => {
    expect([...sources.keys()].some((file) => file.startsWith('cmd/cli/'))).toBe(true);
    expect(slowClientImports(sources)).toEqual([]);
  });

  it('and every other tracked file hold nothing that is forbidden', () => {
    const binary = /\.(?:png|jpe?g|gif|ico|woff2?|db|gz)$/;
    const texts = tracked.filter((file) => !binary.test(file));
    expect(texts.flatMap((file) => forbiddenText(file, readFileSync(file, 'utf8')))).toEqual([]);
  });

  it('has a lock file that names no host to fetch from', () => {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, object>;
    };
    expect(Object.entries(packages).filter(([, entry]) => 'resolved' in entry)).toEqual([]);
  });
});

describe('the check itself', () => {
  it.each<[string, Record<string, string>, string]>([
    [
      'the kernel knowing a domain, be it by a type',
      { 'src/kernel/a.ts': "import type { B } from '../jobs/b.ts';", 'src/jobs/b.ts': '' },
      'src/kernel/a.ts imports ../jobs/b.ts: src/kernel/ may not import src/jobs/',
    ],
    [
      'a domain loading the configuration',
      { 'src/jobs/a.ts': "import { B } from '../config/b.ts';", 'src/config/b.ts': '' },
      'src/jobs/a.ts imports ../config/b.ts: src/jobs/ may use only types of src/config/',
    ],
    [
      'an adapter outside the composition root',
      { 'src/jobs/a.ts': "export * from '../runtime/docker/b.ts';", 'src/runtime/docker/b.ts': '' },
      'src/jobs/a.ts imports ../runtime/docker/b.ts: src/jobs/ may not import src/runtime/docker/',
    ],
    [
      'a port knowing its adapter',
      { 'src/runtime/a.ts': "type A = import('./docker/b.ts').B;", 'src/runtime/docker/b.ts': '' },
      'src/runtime/a.ts imports ./docker/b.ts: src/runtime/ may not import src/runtime/docker/',
    ],
    [
      'a client verb reaching into the node, be it late',
      { 'cmd/cli/ps.ts': "await import('../../src/jobs/b.ts');", 'src/jobs/b.ts': '' },
      'cmd/cli/ps.ts imports ../../src/jobs/b.ts: cmd/cli/ may not import src/jobs/',
    ],
    [
      'a client verb using another file of the API than its client',
      { 'cmd/cli/ps.ts': "import { b } from '../../src/api/server.ts';", 'src/api/server.ts': '' },
      'cmd/cli/ps.ts imports ../../src/api/server.ts: cmd/cli/ may not import src/api/',
    ],
    [
      'a client verb that is not about configuration reading it',
      { 'cmd/cli/ps.ts': "import { b } from '../../src/config/b.ts';", 'src/config/b.ts': '' },
      'cmd/cli/ps.ts imports ../../src/config/b.ts: cmd/cli/ may not import src/config/',
    ],
    [
      'the source importing a test',
      { 'src/jobs/a.ts': "import '../../test/b.ts';", 'test/b.ts': '' },
      'src/jobs/a.ts imports ../../test/b.ts: src/jobs/ may not import test/b.ts',
    ],
    [
      'a file in no part',
      { 'src/utils/a.ts': "import 'node:fs';" },
      'src/utils/a.ts imports node:fs: the importing file is in no part of the table',
    ],
    [
      'an import of nothing',
      { 'src/jobs/a.ts': "import './gone.ts';" },
      'src/jobs/a.ts imports ./gone.ts: there is no such file',
    ],
    [
      'a computed import',
      { 'src/jobs/a.ts': 'await import(name);' },
      `src/jobs/a.ts imports ${COMPUTED}: what is imported must be written out`,
    ],
    [
      'a package away from its home',
      { 'src/jobs/a.ts': "import Docker from 'dockerode';" },
      'src/jobs/a.ts imports dockerode: only src/runtime/docker/ and cmd/demo may use this package',
    ],
    [
      'a package that only others brought',
      { 'src/api/a.ts': "import debug from 'debug';" },
      'src/api/a.ts imports debug: the package is not declared in package.json',
    ],
    [
      'a package in the set-up',
      { 'cmd/setup.mjs': "import { z } from 'zod';" },
      'cmd/setup.mjs imports zod: nothing is installed when the set-up runs',
    ],
  ])('finds %s', (_what, made, violation) => {
    expect(violationsOf(new Map(Object.entries(made)))).toEqual([violation]);
  });

  it('lets pass what the table allows', () => {
    const made = {
      'src/kernel/k.ts': "import { readFile } from 'node:fs';",
      'src/config/c.ts': "import { k } from '../kernel/k.ts';",
      'src/jobs/a.ts':
        "import type { C } from '../config/c.ts'; import { type C as D } from '../config/c.ts';",
      'src/store/s.ts': "import { a } from '../jobs/a.ts'; import { DatabaseSync } from 'node:sqlite';",
      'src/node.ts': "import { s } from './store/s.ts'; import { c } from './config/c.ts';",
      'src/api/client.ts': "import { k } from '../kernel/k.ts';",
      'cmd/cli/ps.ts': "import { x } from '../../src/api/client.ts';",
      'cmd/cli/verbs/config.ts': "import { c } from '../../../src/config/c.ts';",
      'cmd/container-manager.ts': "import { x } from './cli/ps.ts'; await import('../src/node.ts');",
    };
    expect(violationsOf(new Map(Object.entries(made)))).toEqual([]);
    expect(cyclesOf(new Map(Object.entries(made)))).toEqual([]);
    expect(slowClientImports(new Map(Object.entries(made)))).toEqual([]);
  });

  it('finds circles, those of types too', () => {
    const made = {
      'src/jobs/a.ts': "import { b } from './b.ts';",
      'src/jobs/b.ts': "import type { C } from './c.ts';",
      'src/jobs/c.ts': "import { a } from './a.ts';",
    };
    expect(cyclesOf(new Map(Object.entries(made)))).toEqual([
      'src/jobs/a.ts -> src/jobs/b.ts -> src/jobs/c.ts -> src/jobs/a.ts',
    ]);
  });

  it('finds the way from a client verb to a slow package', () => {
    const made = {
      'cmd/cli/ps.ts': "import { a } from '../../src/api/client.ts'; import type { P } from 'pino';",
      'src/api/client.ts': "import jayson from 'jayson/promise';",
      'cmd/cli/verbs/cluster.ts': "import '../../../src/peers/a.ts';",
      'src/peers/a.ts': "import { tcp } from '@libp2p/tcp';",
    };
    expect(slowClientImports(new Map(Object.entries(made)))).toEqual([
      'cmd/cli/ps.ts -> src/api/client.ts -> jayson/promise',
      'cmd/cli/verbs/cluster.ts -> src/peers/a.ts -> @libp2p/tcp',
    ]);
  });

  it.each(FORBIDDEN_TEXT)('finds $what', ({ what, example }) => {
    expect(forbiddenText('test/unit/a.test.ts', `first line\n${example}`)).toEqual([
      `test/unit/a.test.ts:2 holds ${what}: ${example}`,
    ]);
  });
});
