import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Measurement, type Round, type Row } from '../measure/row.ts';
import { freePort } from '../redis.ts';
import type { BenchContext, Suite } from '../suite.ts';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../../..');
const BUILT = join(ROOT, 'dist/container-manager.js');
const SOURCE = join(ROOT, 'cmd/container-manager.ts');
const START_LIMIT_MS = 30_000;
const RETRY_MS = 2;
/** After this the node has nothing left to do, and its memory is what it keeps. */
const SETTLE_MS = 2_000;

/** The program as it is shipped, each time in a new process. */
export const startUp: Suite = {
  name: 'start-up',
  title: 'start-up of the built program',
  run: async (context) => {
    const program = existsSync(BUILT) ? BUILT : SOURCE;
    if (program === SOURCE) {
      context.note('start-up was measured from source, since nothing is built; run: node cmd/build.ts');
    }
    return [...(await measureNode(context, program)), await measurePs(context, program)];
  },
};

/** A program that was started, and whatever it is to be asked. */
class Program implements AsyncDisposable {
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

  async untilAnswering(): Promise<void> {
    for (const deadlineMs = performance.now() + START_LIMIT_MS; !(await isAnswering(this.port));) {
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

async function startNode(context: BenchContext, program: string): Promise<Program> {
  const dataDir = mkdtempSync(join(context.workDir, 'node-'));
  const port = await freePort();
  const flags = ['--listen-address', '127.0.0.1', '--port', String(port), '--data-dir', dataDir];
  return new Program([program, ...flags], port, openSync(join(context.workDir, 'program.log'), 'a'));
}

async function measureNode(context: BenchContext, program: string): Promise<Row[]> {
  const memory: Round[] = [];
  const ours = async (): Promise<{ startMs: number; memoryMb: number }> => {
    const startedMs = performance.now();
    await using node = await startNode(context, program);
    await node.untilAnswering();
    const startMs = performance.now() - startedMs;
    await delay(SETTLE_MS);
    return { startMs, memoryMb: await node.memoryMb() };
  };
  const rounds = await interleave({
    rounds: context.isQuick ? 3 : 9,
    warmUps: 1,
    ours: async () => {
      const { startMs, memoryMb } = await ours();
      memory.push({ ours: memoryMb, baseline: await idleNodeMb() });
      return startMs;
    },
    baseline: () => timeProcess(['-e', '0']),
    onRound: (done, total) => context.progress.step(`start ${done + 1} of ${total}`),
  });
  return [
    startUpRow({ name: 'start to first answer', baselineName: 'node -e 0', unit: 'ms', below: 300, rounds }),
    startUpRow({
      name: 'idle memory',
      baselineName: 'idle node',
      unit: 'MB',
      below: 110,
      rounds: memory.slice(1),
    }),
  ];
}

async function measurePs(context: BenchContext, program: string): Promise<Row> {
  await using node = await startNode(context, program);
  await node.untilAnswering();
  const address = `127.0.0.1:${node.port}`;
  const rounds = await interleave({
    rounds: context.isQuick ? 5 : 21,
    warmUps: 1,
    ours: () => timeProcess([program, 'ps', '--address', address]),
    baseline: () => timeProcess(['-e', '0']),
    onRound: (done, total) => context.progress.step(`ps ${done + 1} of ${total}`),
  });
  return startUpRow({
    name: 'container-manager ps',
    baselineName: 'node -e 0',
    unit: 'ms',
    below: 120,
    rounds,
  });
}

function startUpRow(
  options: Pick<Measurement, 'name' | 'baselineName' | 'unit' | 'rounds'> & { readonly below: number },
): Row {
  const { below, ...rest } = options;
  return rowOf({ ...rest, suite: startUp.name, aim: { kind: 'figure', below } });
}

/** Of Node.js with nothing in it, MB. */
async function idleNodeMb(): Promise<number> {
  await using idle = new Program(['-e', 'setInterval(() => {}, 1e9)'], 0, 'ignore');
  await delay(SETTLE_MS / 4);
  return await idle.memoryMb();
}

/** The whole life of a process, ms. Fails when it fails. */
async function timeProcess(args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await run(process.execPath, args);
  return performance.now() - startedMs;
}

/** Whether jobs are taken: an answer that only says that the node is there does not count. */
function isAnswering(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/ready', agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
      response.once('error', () => resolve(false));
    });
    call.once('error', () => resolve(false)).end();
  });
}
