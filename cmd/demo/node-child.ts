import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('../container-manager.ts', import.meta.url));
const START_LIMIT_MS = 30_000;
const POLL_MS = 25;

const run = promisify(execFile);

export interface NodeChildOptions {
  readonly port: number;
  readonly p2pPort: number;
  readonly dataDir: string;
  /** Of the cluster to join; without one the node is a cluster of its own. */
  readonly token?: string;
}

/** A node of the demo, in a process of its own, as a user would start it. */
export class NodeChild {
  readonly port: number;
  readonly #dataDir: string;
  readonly #process: ChildProcess;
  #errors = '';

  constructor({ port, p2pPort, dataDir, token }: NodeChildOptions) {
    this.port = port;
    this.#dataDir = dataDir;
    const flags = {
      port,
      'p2p-port': p2pPort,
      'data-dir': dataDir,
      'listen-address': '127.0.0.1',
      // Two on one host need no search for each other, and nobody else is to be found by them.
      'peers-mdns': false,
      'log-level': 'warn',
    };
    this.#process = spawn(
      process.execPath,
      [PROGRAM, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])],
      {
        // A token is as good as membership, and everybody can read a command line.
        env: { ...process.env, ...(token !== undefined && { CONTAINER_MANAGER_JOIN: token }) },
        stdio: ['ignore', 'ignore', 'pipe'],
        // In a group of its own: Ctrl-C is for the demo, which still has to ask the node to clean up.
        detached: true,
      },
    );
    this.#process.stderr?.on(
      'data',
      (chunk: Buffer) => (this.#errors = (this.#errors + chunk.toString()).slice(-4096)),
    );
  }

  /** Resolves when the node takes work; fails with its last words when it ends instead. */
  async whenReady(): Promise<void> {
    for (
      const startedMs = performance.now();
      performance.now() - startedMs < START_LIMIT_MS;
      await delay(POLL_MS)
    ) {
      if (this.#process.exitCode !== null) throw new Error(`the node ended: ${this.#errors}`);
      const reply = await fetch(`http://127.0.0.1:${this.port}/ready`).catch(() => undefined);
      if (reply?.ok === true) return;
    }
    throw new Error(`the node was not ready within ${START_LIMIT_MS} ms: ${this.#errors}`);
  }

  /** One string with which another node joins this one. */
  async token(): Promise<string> {
    const { stdout } = await run(process.execPath, [
      PROGRAM,
      'cluster',
      'token',
      '--data-dir',
      this.#dataDir,
    ]);
    return stdout.trim();
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
