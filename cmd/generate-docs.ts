import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateRpcReference } from '../src/api/reference.ts';
import { configurationReference } from '../src/config/reference.ts';
import { metricsReference } from '../src/telemetry/metrics-reference.ts';

/** Every page that is made from code. */
const PAGES: readonly { readonly path: string; readonly generate: () => string }[] = [
  { path: 'docs/reference/configuration.md', generate: configurationReference },
  { path: 'docs/reference/rpc.md', generate: generateRpcReference },
  { path: 'docs/reference/metrics.md', generate: metricsReference },
];

const root = join(import.meta.dirname, '..');

/** Writes every page; returns the paths of those that changed. */
function write(): string[] {
  return stalePages().map(({ path, text }) => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return path;
  });
}

function stalePages(): { path: string; text: string }[] {
  const pages = PAGES.map(({ path, generate }) => ({ path, text: generate() }));
  return pages.filter(({ path, text }) => {
    const file = join(root, path);
    return !existsSync(file) || readFileSync(file, 'utf8') !== text;
  });
}

const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== '--check')) {
  console.error('usage: generate-docs [--check]');
  process.exitCode = 2;
} else if (option === '--check') {
  const stale = stalePages();
  for (const { path } of stale) console.error(`${path} is stale; run: node cmd/generate-docs.ts`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  for (const path of write()) console.log(`wrote ${path}`);
}
