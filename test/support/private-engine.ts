import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { hang } from './hang.ts';
import { waitFor } from './wait-for.ts';

/** An engine needs so long to come up, with containers to look at again, on a busy machine, ms. */
const UP_TIMEOUT_MS = 60_000;
const DOWN_TIMEOUT_MS = 30_000;
const CUT_OFF_TIMEOUT_MS = 3_000;

export interface PrivateEngineOptions {
  /** Containers go on running while the engine is away. */
  readonly liveRestore: boolean;
  /** Where it makes networks; without one it has none, and containers run with `none`. */
  readonly network?: PrivateEngineNetwork;
}

export interface PrivateEngineNetwork {
  /** What a command is started with to run in there. */
  readonly launcher: readonly string[];
  /** The addresses of its networks. */
  readonly addressPool: string;
}

/**
 * A Docker Engine of its own: data, sockets and containers apart from any other on this machine, so that what is done
 * to it disturbs nobody. Dispose to end it and all it started.
 */
export class PrivateEngine implements AsyncDisposable {
  // Sockets below it must stay within the 108 bytes that a path of a socket may have.
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-dockerd-'));
  readonly #options: PrivateEngineOptions;
  readonly docker: Docker;
  #containerd: ChildProcess | undefined;
  #process: ChildProcess | undefined;

  private constructor(options: PrivateEngineOptions) {
    this.#options = options;
    this.docker = new Docker({ socketPath: this.socketPath });
  }

  static async start(options: PrivateEngineOptions): Promise<PrivateEngine> {
    const engine = new PrivateEngine(options);
    try {
      await engine.#startContainerd();
      await engine.start();
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  get socketPath(): string {
    return join(this.#directory, 'docker.sock');
  }

  get host(): string {
    return `unix://${this.socketPath}`;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    await this.#endCutOffStarts();
    this.spawn();
    await this.untilUp();
  }

  /** Starts it and does not wait. */
  spawn(): void {
    // A crash leaves it behind, and the next one may meet another process with that number.
    rmSync(this.#at('docker.pid'), { force: true });
    this.#process = this.#runEngine();
  }

  async untilUp(): Promise<void> {
    const child = this.#require();
    await waitFor('a private engine to answer', UP_TIMEOUT_MS, async () => {
      if (child.exitCode !== null) throw new Error(`the private engine ended: ${this.#log()}`);
      return this.docker.ping().then(
        () => true,
        () => false,
      );
    });
  }

  /** Ends it as a service manager does; without live restore its containers are stopped first. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Kills it. Containers go on running until the next start. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** It holds its connections and takes new ones, and answers nothing, until `resume`. */
  async hang(): Promise<void> {
    const { pid } = this.#require();
    if (pid !== undefined) await hang(pid);
  }

  resume(): void {
    this.#require().kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process?.kill('SIGCONT');
    // One that hangs, which is what a test may have found, must not keep it from being ended.
    await Promise.race([this.#removeContainers().catch(() => undefined), delay(DOWN_TIMEOUT_MS)]);
    await this.#end('SIGTERM').catch(() => this.#end('SIGKILL'));
    this.#containerd?.kill('SIGKILL');
    await this.#endLeftovers();
    for (const mount of this.#mounts()) spawnSync('umount', ['-l', mount]);
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Apart from the engine, as a service manager runs it, so that it outlives a killed engine. */
  async #startContainerd(): Promise<void> {
    const config = [
      'version = 2',
      `root = "${this.#at('containerd')}"`,
      `state = "${this.#at('run')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `[grpc]\naddress = "${this.#at('containerd.sock')}"`,
    ];
    writeFileSync(this.#at('containerd.toml'), config.join('\n'));
    this.#containerd = this.#run('containerd', ['--config', this.#at('containerd.toml')]);
    await waitFor('containerd to listen', UP_TIMEOUT_MS, () => existsSync(this.#at('containerd.sock')));
  }

  /**
   * Apart from the machine's network, since an engine without a bridge of its own removes the one that it takes for its
   * own from former times: that of the machine's engine.
   */
  #runEngine(): ChildProcess {
    const [program = '', ...args] = this.#options.network?.launcher ?? ['unshare', '--net'];
    return this.#run(program, [...args, 'dockerd', ...this.#arguments()]);
  }

  #run(program: string, args: readonly string[]): ChildProcess {
    const log = openSync(this.#at('engine.log'), 'a');
    try {
      return spawn(program, args, { stdio: ['ignore', log, log] });
    } finally {
      closeSync(log);
    }
  }

  #at(name: string): string {
    return join(this.#directory, name);
  }

  #arguments(): string[] {
    const { liveRestore, network } = this.#options;
    return [
      `--host=${this.host}`,
      `--data-root=${this.#at('data')}`,
      `--exec-root=${this.#at('exec')}`,
      `--pidfile=${this.#at('docker.pid')}`,
      `--containerd=${this.#at('containerd.sock')}`,
      // Not the machine's own.
      '--config-file=',
      '--bridge=none',
      '--iptables=false',
      '--ip-masq=false',
      '--shutdown-timeout=2',
      ...(network === undefined ? [] : [`--default-address-pool=base=${network.addressPool},size=28`]),
      ...(liveRestore ? ['--live-restore'] : []),
    ];
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, 'exit', { signal: AbortSignal.timeout(DOWN_TIMEOUT_MS) });
    }
    this.#process = undefined;
  }

  /**
   * A kill that cuts off the start of a container may leave a shim that waits for the dead engine to read its output. No
   * engine ends it, and whoever asks the next one for that container waits for ever: the engine's fault (seen with
   * Docker 20.10), mended as an administrator would.
   */
  async #endCutOffStarts(): Promise<void> {
    // Most of them are ended by containerd.
    const areGone = (): boolean => this.#cutOffStarts().length === 0;
    await waitFor('starts that were cut off to end', CUT_OFF_TIMEOUT_MS, areGone).catch(() => undefined);
    for (const pid of this.#cutOffStarts()) tryKill(pid);
  }

  /** The shims whose container neither runs nor has run, and what it would have become. */
  #cutOffStarts(): number[] {
    const root = this.#at('exec/runtime-runc/moby');
    if (!existsSync(root)) return [];
    return pidsOf(this.#directory).flatMap((pid) => {
      const [program = '', ...args] = commandOf(pid);
      const id = args[args.indexOf('-id') + 1];
      if (!program.includes('containerd-shim') || id === undefined) return [];
      const { status, stdout } = spawnSync('runc', ['--root', root, 'state', id], { encoding: 'utf8' });
      if (status === null) return [];
      if (status !== 0) return [pid];
      const state = JSON.parse(stdout) as { pid: number; status: string };
      return state.status === 'created' ? [pid, state.pid] : [];
    });
  }

  async #removeContainers(): Promise<void> {
    for (const { Id } of await this.docker.listContainers({ all: true })) {
      await this.docker.getContainer(Id).remove({ force: true });
    }
  }

  /** Shims of containers outlive everything; all of them carry our directory in their command line. */
  async #endLeftovers(): Promise<void> {
    const leftovers = (): number[] => pidsOf(this.#directory);
    for (const pid of leftovers()) tryKill(pid);
    await waitFor('what a private engine started to end', DOWN_TIMEOUT_MS, () => {
      for (const pid of leftovers()) tryKill(pid);
      return leftovers().length === 0;
    });
  }

  #mounts(): string[] {
    const directory = realpathSync(this.#directory);
    return readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${directory}/`))
      .reverse();
  }

  #log(): string {
    return readFileSync(this.#at('engine.log'), 'utf8').slice(-4000);
  }

  #require(): ChildProcess {
    if (this.#process === undefined) throw new Error('the private engine is not running');
    return this.#process;
  }
}

/** Processes that name the directory in their command line. */
function pidsOf(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => commandOf(pid).some((word) => word.includes(directory)));
}

/** The words a process was started with; none when it has ended. */
function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
