import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROGRAM } from '../../support/node-process.ts';

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** The node to ask. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: string;
  /** What is piped in; without, nothing can be read. */
  readonly input?: string;
}

/** A client command as a child process, with an environment of its own. */
export class CliProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly result: Promise<CliResult>;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], { port, env = {}, program = PROGRAM, input }: CliOptions = {}) {
    this.#child = spawn(process.execPath, [program, ...args], {
      env: {
        PATH: process.env['PATH'],
        HOME: tmpdir(),
        NODE_COMPILE_CACHE: join(tmpdir(), 'cm-test-compile-cache'),
        TZ: 'UTC',
        ...(port !== undefined && { CONTAINER_MANAGER_ADDRESS: `127.0.0.1:${port}` }),
        ...env,
      },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.end(input);
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.result = once(this.#child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Whoever reads its output has enough. */
  closeStdout(): void {
    this.#child.stdout?.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.result;
  }
}

export function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new CliProcess(args, options).result;
}
