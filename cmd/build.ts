import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type BuildOptions, type OutputFile, type Plugin } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** `node cmd/build.ts [DIRECTORY]`: what was in the directory is replaced. */
const OUT = resolve(ROOT, process.argv[2] ?? 'dist');

/**
 * Some packages are CommonJS: bundled into an ES module they still look for `require`, `__filename` and `__dirname`,
 * which it does not have. The names cannot clash: in a module of ours they stand for nothing.
 */
const COMMON_JS_NAMES = [
  "import { createRequire as __createRequire } from 'node:module';",
  "import { fileURLToPath as __fileURLToPath } from 'node:url';",
  "import { dirname as __pathDirname } from 'node:path';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = __fileURLToPath(import.meta.url);',
  'const __dirname = __pathDirname(__filename);',
].join('\n');

/**
 * An `import` of `node:http` reads every one of its exports at once, and one of them loads a whole client for `fetch` and WebSockets,
 * which nothing here uses: that took more time and memory than all of the server. `require` reads only what is asked for.
 */
const HTTP_AS_REQUIRED: Plugin = {
  name: 'http-as-required',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^(?:node:)?http$/ }, ({ kind }) =>
      kind === 'require-call' ? undefined : { path: 'node:http', namespace: 'required' },
    );
    onLoad({ filter: /^/, namespace: 'required' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/** Code that is shared by commands goes into chunks, so that each of them loads what it needs and no more. */
const OPTIONS = {
  absWorkingDir: ROOT,
  entryPoints: { 'container-manager': 'cmd/container-manager.ts' },
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  chunkNames: 'chunks/[name]-[hash]',
  minifyWhitespace: true,
  // Names stay, so that a stack in a log can be read without the source maps.
  sourcemap: 'external',
  sourcesContent: false,
  legalComments: 'linked',
  banner: { js: COMMON_JS_NAMES },
  // Optional, native, and only made where a compiler is: whoever asks for it goes on without.
  external: ['cpu-features', '*.node'],
  plugins: [HTTP_AS_REQUIRED],
  write: false,
  logLevel: 'warning',
} as const satisfies BuildOptions;

function write({ path, contents }: OutputFile): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
}

function kib(byteCount: number): string {
  return `${(byteCount / 1024).toFixed(1).padStart(9)} KiB`;
}

function report(files: readonly OutputFile[]): void {
  const scripts = files.filter(({ path }) => path.endsWith('.js'));
  const lines = scripts
    .toSorted((a, b) => b.contents.length - a.contents.length)
    .map(({ path, contents }) => `${kib(contents.length)}  ${relative(ROOT, path)}`);
  const total = scripts.reduce((sum, { contents }) => sum + contents.length, 0);
  const packed = scripts.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
  console.log([...lines, `${kib(total)}  in all, ${kib(packed).trim()} compressed`].join('\n'));
}

const { outputFiles } = await build(OPTIONS);
// Not before: a build that fails leaves the one before it.
rmSync(OUT, { recursive: true, force: true });
for (const file of outputFiles) write(file);
chmodSync(join(OUT, 'container-manager.js'), 0o755);
report(outputFiles);
