import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchContext } from './suite.ts';

const START_TIMEOUT_MS = 10_000;
const RETRY_MS = 20;

/** Debian's Redis on a free port of this host alone, with every write on disk before it is answered. */
export class Redis implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start(context: BenchContext): Promise<Redis> {
    const directory = join(context.workDir, 'redis');
    mkdirSync(directory, { recursive: true });
    const log = openSync(join(context.workDir, 'redis.log'), 'a');
    const port = await freePort();
    const settings = {
      port,
      bind: '127.0.0.1',
      dir: directory,
      appendonly: 'yes',
      appendfsync: 'always',
      save: '',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const redis = new Redis(port, spawn('redis-server', args, { stdio: ['ignore', log, log] }));
    await redis.#untilUp();
    return redis;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }

  async #untilUp(): Promise<void> {
    const failed = once(this.#process, 'error').then(([error]: unknown[]) => {
      throw error;
    });
    failed.catch(() => undefined);
    for (const deadlineMs = performance.now() + START_TIMEOUT_MS; ;) {
      if (await Promise.race([failed, accepts(this.port)])) return;
      if (performance.now() > deadlineMs) throw new Error(`redis-server does not listen on ${this.port}`);
      await delay(RETRY_MS);
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}
