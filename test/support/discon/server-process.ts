import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { hang } from '../hang.ts';
import { waitFor } from '../wait-for.ts';
import { isListening } from './is-listening.ts';
import { buildDisconPrograms, type DisconPrograms } from './programs.ts';

const HOST = '127.0.0.1';
const LISTEN_TIMEOUT_MS = 30_000;

export interface ServerProcessOptions {
  /** The switches of the server. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 1: nobody is dropped for saying nothing. */
  readonly debug?: number;
  /** By default nobody else's. */
  readonly port?: number;
  /** Comes back as soon as it is started, whether it listens or not. */
  readonly isAwaited?: boolean;
}

/** A server of controllers as a process of this machine, where no container is needed. Dispose to end it. */
export class ServerProcess implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  /** Where its libraries are, for `path=`. */
  readonly programs: DisconPrograms;
  /** Resolves when it is gone. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(port: number, programs: DisconPrograms, child: ChildProcess, directory: string) {
    this.port = port;
    this.programs = programs;
    this.#child = child;
    this.#directory = directory;
    this.exited = once(child, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  static async start(options: ServerProcessOptions = {}): Promise<ServerProcess> {
    const { env = {}, debug = 1, isAwaited = true } = options;
    const programs = await buildDisconPrograms();
    const port = options.port ?? (await freePort());
    const directory = await mkdtemp(join(tmpdir(), 'cm-discon-server-'));
    const flags = [`--port=${port}`, `--debug=${debug}`];
    const child = spawn(programs.server, flags, { cwd: directory, env: { ...env }, stdio: 'ignore' });
    const server = new ServerProcess(port, programs, child, directory);
    if (isAwaited)
      await waitFor(`${server.address} to listen`, LISTEN_TIMEOUT_MS, () => isListening(HOST, port));
    return server;
  }

  /** As a client is told where it is. */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Makes it silent with its connections open, until `resume`. */
  hang(): Promise<void> {
    return hang(this.pid);
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** The names of what is in its working directory now. */
  async files(): Promise<string[]> {
    return (await readdir(this.#directory)).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
    await rm(this.#directory, { recursive: true, force: true });
  }
}
