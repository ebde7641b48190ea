import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { requireProgram } from '../programs.ts';
import { accepts, freePort } from '../redis.ts';
import type { BenchContext } from '../suite.ts';
import { CORES, pinned } from './cores.ts';
import type { LoadTarget } from './load.ts';

const START_TIMEOUT_MS = 10_000;
const RETRY_MS = 20;

/** Something that leads clients to the echo. */
export interface Proxy extends LoadTarget, AsyncDisposable {
  readonly pid: number;
  /** Until what it does not need any more is given back, as far as it ever is. */
  settle(): Promise<void>;
}

/** A proxy that is a program of its own. */
export class ProxyProgram implements Proxy {
  readonly port: number;
  readonly target = '/ws';
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  /** `commandOf` writes what the program reads, and tells how it is started in the foreground. */
  static async start(
    name: string,
    context: BenchContext,
    commandOf: (port: number) => readonly string[],
  ): Promise<ProxyProgram> {
    const port = await freePort();
    const log = openSync(join(context.workDir, `${name}.log`), 'a');
    const command = pinned(CORES.proxy, requireProgram(name), commandOf(port));
    await using parts = new AsyncDisposableStack();
    const proxy = parts.use(new ProxyProgram(port, spawn(...command, { stdio: ['ignore', log, log] })));
    for (const deadlineMs = performance.now() + START_TIMEOUT_MS; !(await accepts(port));) {
      if (performance.now() > deadlineMs) throw new Error(`${name} does not listen on ${port}`);
      await delay(RETRY_MS);
    }
    parts.move();
    return proxy;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async settle(): Promise<void> {
    // Nothing of it waits to be collected.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}
