import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeHome } from '../../support/node-process.ts';
import { cli } from './cli-process.ts';

const BUILD = fileURLToPath(new URL('../../../cmd/build.ts', import.meta.url));

let directory: string;
let program: string;
let report: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cm-dist-'));
  ({ stdout: report } = await promisify(execFile)(process.execPath, [BUILD, directory]));
  program = join(directory, 'container-manager.js');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The scripts that are loaded by importing `file`, itself among them; lazy imports are not followed. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const imports = readFileSync(file, 'utf8').matchAll(/(?:import|from)\s*"(\.[^"]+\.js)"/g);
  for (const [, path = ''] of imports) loadedBy(join(file, '..', path), seen);
  return seen;
}

const sizeOf = (files: Iterable<string>): number =>
  [...files].reduce((sum, file) => sum + statSync(file).size, 0);

describe('the release build', () => {
  it('is one program that can be run, with what it is made of beside it', () => {
    expect(statSync(program).mode & 0o111).toBe(0o111);
    expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env -S node --\n/);
    expect(readdirSync(join(directory, 'chunks')).some((name) => name.endsWith('.js.map'))).toBe(true);
    expect(report).toMatch(/KiB {2}in all, [\d.]+ KiB compressed\n$/);
  });

  it('needs nothing of node_modules', () => {
    const scripts = [
      'container-manager.js',
      ...readdirSync(join(directory, 'chunks')).map((name) => `chunks/${name}`),
    ];
    const bare = scripts
      .filter((name) => name.endsWith('.js'))
      .flatMap((name) => [
        ...readFileSync(join(directory, name), 'utf8').matchAll(
          /(?:^|[;}\n])import(?:[^'"`;()]*?from)?\s*["']([^.'"][^'"]*)["']/g,
        ),
      ])
      .map(([, specifier = '']) => specifier)
      .filter((specifier) => !specifier.startsWith('node:'));
    const builtins = new Set(
      execFileSync(process.execPath, ['-p', 'require("node:module").builtinModules.join()'])
        .toString()
        .trim()
        .split(','),
    );
    expect(bare.filter((specifier) => !builtins.has(specifier))).toEqual([]);
  });

  it('loads a small part of itself for a command of the client', () => {
    const chunks = readdirSync(join(directory, 'chunks')).filter((name) => name.endsWith('.js'));
    const chunk = (start: string): string =>
      join(directory, 'chunks', chunks.find((name) => name.startsWith(start)) ?? '');
    const client = loadedBy(chunk('ps-'), loadedBy(chunk('main-'), loadedBy(program)));
    const node = loadedBy(chunk('daemon-'));
    expect(sizeOf(client)).toBeLessThan(300 * 1024);
    expect(sizeOf(node)).toBeGreaterThan(1024 * 1024);
  });

  it('loads nothing of what Node has to fetch with', () => {
    const listener = 'process.on("exit",()=>console.log(process.moduleLoadList.join("\\n")))';
    const args = ['--import', `data:text/javascript,${listener}`, program, 'ps', '--address', '127.0.0.1:1'];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stdout).toMatch(/^NativeModule http$/m);
    expect(stdout).not.toMatch(/undici/);
  });

  it('runs a node, and a client that asks it', async () => {
    await using home = await NodeHome.create({ program });
    const node = await home.start();
    expect(await cli(['ps'], { port: node.port, program })).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There are no such jobs; --all shows every one.\n',
    });
    const { stdout } = await cli(['version'], { port: node.port, program });
    expect(stdout).toMatch(/^Program .*\nNode .*\nEngine +Docker Engine /);
    expect(await node.stop()).toBe(0);
  });
});
