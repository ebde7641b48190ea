import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { WriterTask } from './store-writer.ts';

/** A writer that has not come so far by then hangs, ms. */
const PATIENCE_MS = 60_000;
const POLL_MS = 5;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface WriterOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Program and arguments in front of node's, as of strace. */
  readonly wrapper?: readonly string[];
  /** Runs as this user instead of root, and so without root's right to read and write everything. */
  readonly uid?: number;
}

/** A store writer in a process of its own, which a test may kill. */
export class WriterProcess implements AsyncDisposable {
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #task: WriterTask;
  #hasExited = false;

  constructor(programFile: string, task: WriterTask, options: WriterOptions = {}) {
    this.#task = task;
    const [program = process.execPath, ...args] = [
      ...(options.wrapper ?? []),
      process.execPath,
      programFile,
      JSON.stringify(task),
    ];
    this.#child = spawn(program, args, {
      env: { PATH: process.env['PATH'], ...options.env },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    this.exit = this.#exit();
  }

  /** Resolves once this process has written down `bytes` more of acknowledgements than there were. */
  async hasWritten(bytes: number): Promise<void> {
    const startedAt = ackBytes(this.#task.ackFile);
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (ackBytes(this.#task.ackFile) < startedAt + bytes) {
      if (this.#hasExited) throw new Error(`the writer ended early: ${(await this.exit).stderr}`);
      if (performance.now() > deadlineMs) throw new Error('the writer does not get on');
      await delay(POLL_MS);
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async kill(): Promise<Exit> {
    this.#child.kill('SIGKILL');
    return this.exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #exit(): Promise<Exit> {
    let stderr = '';
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code, signal] = (await once(this.#child, 'close')) as [Exit['code'], Exit['signal']];
    this.#hasExited = true;
    return { code, signal, stderr };
  }
}

function ackBytes(file: string): number {
  return existsSync(file) ? statSync(file).size : 0;
}
