import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './redis.ts';
import type { BenchContext } from './suite.ts';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const BUILT = join(ROOT, 'dist/container-manager.js');
const SOURCE = join(ROOT, 'cmd/container-manager.ts');
const START_LIMIT_MS = 30_000;
const RETRY_MS = 2;

/** The program as it is shipped, or its source where nothing is built, which is noted. */
export function shippedProgram(context: BenchContext): string {
  if (existsSync(BUILT)) return BUILT;
  context.note('the program was started from source, since nothing is built; run: node cmd/build.ts');
  return SOURCE;
}

/** A program that was started, and whatever it is to be asked. */
export class Program implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly port: number;

  constructor(args: readonly string[], port: number, log: number | 'ignore') {
    this.port = port;
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', log, log] });
  }

  /** Resident memory, MB. */
  async memoryMb(): Promise<number> {
    this.#requireAlive();
    const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(this.#process.pid)]);
    return Number(stdout) / 1024;
  }

  /** Resolves once jobs are taken: an answer that only says that the node is there does not count. */
  untilAnswering(): Promise<void> {
    return this.until(() => isReady(this.port));
  }

  /** Asks again and again, and fails when the program has ended, or takes too long. */
  async until(condition: () => Promise<boolean>): Promise<void> {
    for (const deadlineMs = performance.now() + START_LIMIT_MS; !(await condition());) {
      this.#requireAlive();
      if (performance.now() > deadlineMs) throw new Error(`the node does not answer on port ${this.port}`);
      await delay(RETRY_MS);
    }
  }

  #requireAlive(): void {
    const { exitCode, signalCode, spawnargs } = this.#process;
    if (exitCode === null && signalCode === null) return;
    throw new Error(`it has ended (${signalCode ?? exitCode}): ${spawnargs.join(' ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}

/** A node with a data dir of its own, and a cluster of its own unless the flags say otherwise. */
export async function startProgram(
  context: BenchContext,
  program: string,
  { dataDir, flags = [] }: { dataDir?: string; flags?: readonly string[] } = {},
): Promise<Program> {
  const directory = dataDir ?? mkdtempSync(join(context.workDir, 'node-'));
  const port = await freePort();
  const fixed = ['--listen-address', '127.0.0.1', '--port', String(port), '--p2p-port', '0'];
  const args = [program, ...fixed, '--data-dir', directory, ...flags];
  return new Program(args, port, openSync(join(context.workDir, 'program.log'), 'a'));
}

/** The whole life of a process, ms. Fails when it fails. */
export async function timeProcess(args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await run(process.execPath, args);
  return performance.now() - startedMs;
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/ready', agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
      response.once('error', () => resolve(false));
    });
    call.once('error', () => resolve(false)).end();
  });
}
