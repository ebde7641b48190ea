import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

const PROGRAM = fileURLToPath(new URL('../container-manager.ts', import.meta.url));
const START_LIMIT_MS = 30_000;
const POLL_MS = 25;

/** The node of the demo, in a process of its own, as a user would start it. */
export class NodeChild {
  readonly #process: ChildProcess;
  #errors = '';

  constructor(port: number, dataDir: string) {
    this.#process = spawn(
      process.execPath,
      [
        PROGRAM,
        '--port',
        String(port),
        '--data-dir',
        dataDir,
        '--listen-address',
        '127.0.0.1',
        '--log-level',
        'warn',
      ],
      // In a group of its own: Ctrl-C is for the demo, which still has to ask the node to clean up.
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
    );
    this.#process.stderr?.on(
      'data',
      (chunk: Buffer) => (this.#errors = (this.#errors + chunk.toString()).slice(-4096)),
    );
  }

  /** Resolves when the node takes work; fails with its last words when it ends instead. */
  async whenReady(port: number): Promise<void> {
    for (
      const startedMs = performance.now();
      performance.now() - startedMs < START_LIMIT_MS;
      await delay(POLL_MS)
    ) {
      if (this.#process.exitCode !== null) throw new Error(`the node ended: ${this.#errors}`);
      const reply = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
      if (reply?.ok === true) return;
    }
    throw new Error(`the node was not ready within ${START_LIMIT_MS} ms: ${this.#errors}`);
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.#process.exitCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    return this.#process.exitCode;
  }
}

/** `wanted` when nobody listens there, else any port that is free. */
export async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  const listening = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
  if (!(await listening(wanted))) await listening(0);
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : wanted;
}
