import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import type { RpcMethodName, RpcMethods } from '../../src/api/wire.ts';
import { type SettingKey, variableOf } from '../../src/config/settings.ts';
import { loadIdentity } from '../../src/peers/identity.ts';
import { IS_FULL } from './figure.ts';
import { freePort } from './free-port.ts';
import { hang } from './hang.ts';
import { waitFor } from './wait-for.ts';

/** The program a user starts. */
export const PROGRAM = fileURLToPath(new URL('../../cmd/container-manager.ts', import.meta.url));

export interface NodeHomeOptions {
  readonly settings?: Partial<Record<SettingKey, string | number>>;
  /** The program to run; a bundle of it starts in a third of the time. */
  readonly program?: string;
  /** Other variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What starts the program: it must become the program itself, as `ip netns exec NAME` does. */
  readonly launcher?: readonly string[];
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** What came back over HTTP. */
export interface HttpReply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** An `error` of JSON-RPC. */
export class RpcFailure extends Error {
  override readonly name = 'RpcFailure';
  readonly code: number;
  readonly reason: string;

  constructor(error: { code: number; message: string; data?: { reason?: string } }) {
    super(error.message);
    this.code = error.code;
    this.reason = error.data?.reason ?? '';
  }
}

/** A node may need so long until it answers on a busy machine, ms. */
const READY_TIMEOUT_MS = 30_000;
const REMOVAL_TIMEOUT_MS = 45_000;
const RPC_TIMEOUT_MS = 30_000;

/**
 * Where a node lives over several lives of its process: a data dir, a port, a network on the engine, and settings of
 * its own. Dispose to end what runs and to remove all that its nodes made.
 */
export class NodeHome implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cm-node-'));
  readonly dataDir = join(this.directory, 'data');
  readonly network = `cm-test-${randomUUID().slice(0, 8)}`;
  readonly port: number;
  readonly #options: NodeHomeOptions;
  readonly #processes = new Set<NodeProcess>();

  private constructor(port: number, options: NodeHomeOptions) {
    this.port = port;
    this.#options = options;
  }

  static async create(options: NodeHomeOptions = {}): Promise<NodeHome> {
    return new NodeHome(await freePort(), options);
  }

  get logFile(): string {
    return join(this.directory, 'node.log');
  }

  get identityFile(): string {
    return join(this.dataDir, 'identity.key');
  }

  /** Everything that nodes living here have written, standard output and error. */
  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Starts a node and does not wait for it. */
  spawn(options: StartOptions = {}): NodeProcess {
    mkdirSync(this.directory, { recursive: true });
    const output = openSync(this.logFile, 'a');
    try {
      const program = this.#options.program ?? PROGRAM;
      const [command = '', ...args] = [...(this.#options.launcher ?? []), process.execPath, program];
      const child = spawn(command, [...args, ...(options.args ?? [])], {
        env: this.#environment(options),
        stdio: ['ignore', output, output],
      });
      const node = new NodeProcess(child, this);
      this.#processes.add(node);
      void node.exited.then(() => this.#processes.delete(node));
      return node;
    } finally {
      closeSync(output);
    }
  }

  /** Starts a node and waits until it is ready. */
  async start(options: StartOptions = {}): Promise<NodeProcess> {
    const node = this.spawn(options);
    await node.untilReady();
    return node;
  }

  /** The containers its nodes made, running or not, as the engine tells it. */
  async containers(docker: Docker): Promise<Docker.ContainerInfo[]> {
    const { nodeId } = loadIdentity(this.identityFile);
    const label = [`container-manager.owner=${nodeId}`];
    return docker.listContainers({ all: true, filters: { label } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of [...this.#processes]) await node.kill();
    const socketPath = this.#options.settings?.['docker.host'];
    const docker =
      typeof socketPath === 'string'
        ? new Docker({ socketPath: socketPath.replace('unix://', '') })
        : new Docker();
    // Without an identity it never came so far as to make anything; an engine that a test serves goes with the test.
    const isClean = !existsSync(this.identityFile) || this.#options.env?.['CM_TEST_ENGINE'] !== undefined;
    try {
      if (!isClean) await this.#removeFrom(docker);
    } finally {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  async #removeFrom(docker: Docker): Promise<void> {
    // What the engine was asked for by a node that is gone may come into being only now.
    await waitFor('what the node made to be removed', REMOVAL_TIMEOUT_MS, async () => {
      const containers = await this.containers(docker);
      const remove = ({ Id }: Docker.ContainerInfo): Promise<unknown> =>
        docker.getContainer(Id).remove({ force: true, v: true });
      await Promise.allSettled(containers.map(remove));
      if (containers.length > 0) return false;
      return docker
        .getNetwork(this.network)
        .remove()
        .then(
          () => true,
          (error: { statusCode?: number }) => error.statusCode === 404,
        );
    });
  }

  #environment(options: StartOptions): NodeJS.ProcessEnv {
    const settings: NodeHomeOptions['settings'] = {
      listen_address: '127.0.0.1',
      port: this.port,
      p2p_port: 0,
      // Nodes of tests that run side by side on this machine must not look for each other.
      'peers.mdns': 'false',
      // As by default with the full figures; otherwise one that is alone starts sooner without.
      'peers.enabled': String(IS_FULL),
      data_dir: this.dataDir,
      'docker.network': this.network,
      'defaults.memory': '64m',
      ...this.#options.settings,
    };
    const variables = Object.entries(settings).map(([key, value]) => [
      variableOf(key as SettingKey),
      String(value),
    ]);
    return {
      PATH: process.env['PATH'],
      HOME: this.directory,
      DOCKER_HOST: process.env['DOCKER_HOST'],
      NODE_COMPILE_CACHE: join(tmpdir(), 'cm-test-compile-cache'),
      ...Object.fromEntries(variables),
      ...this.#options.env,
      ...options.env,
    };
  }
}

/** One life of a node's process. */
export class NodeProcess {
  /** Resolves when the process is gone, however that came. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  readonly #home: NodeHome;
  #hasExited = false;

  constructor(child: ChildProcess, home: NodeHome) {
    this.#child = child;
    this.#home = home;
    this.exited = once(child, 'exit').then(([code, signal]) => {
      this.#hasExited = true;
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  get port(): number {
    return this.#home.port;
  }

  /** Resolves when it answers at all; fails when it ends before, with what it wrote. */
  async untilAnswering(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    await this.#until('/health', timeoutMs);
  }

  /** Resolves when `/ready` says so; fails when it ends before, with what it wrote. */
  async untilReady(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    await this.#until('/ready', timeoutMs);
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<HttpReply> {
    return httpCall(this.port, { path, headers });
  }

  async post(
    path: string,
    body: string,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ): Promise<HttpReply> {
    return httpCall(this.port, { method: 'POST', path, headers, body });
  }

  /** One call; fails with an `RpcFailure` when the node refuses it, and with another error when no answer came. */
  async rpc<Name extends RpcMethodName>(
    method: Name,
    params: RpcMethods[Name]['params'],
    timeoutMs = RPC_TIMEOUT_MS,
  ): Promise<RpcMethods[Name]['result']> {
    return rpcCall(this.port, method, params, timeoutMs);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasExited) this.#child.kill(signal);
  }

  /** It holds its connections and answers nothing, until `resume`. */
  hang(): Promise<void> {
    return hang(this.pid);
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Kills it, and resolves when it is gone. Twice is as once. */
  async kill(): Promise<void> {
    this.resume();
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Asks it to end; gives back its exit code. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return (await this.exited).code;
  }

  async #until(path: string, timeoutMs: number): Promise<void> {
    await waitFor(`a node to answer at ${path}`, timeoutMs, async () => {
      if (this.#hasExited) {
        const { code, signal } = await this.exited;
        throw new Error(`the node ended (${code ?? signal}) before ${path} answered:\n${this.#home.log()}`);
      }
      const reply = await this.get(path).catch(() => undefined);
      return reply?.status === 200;
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#home.log().slice(-4000)}`);
    });
  }
}

export async function rpcCall<Name extends RpcMethodName>(
  port: number,
  method: Name,
  params: RpcMethods[Name]['params'],
  timeoutMs = RPC_TIMEOUT_MS,
): Promise<RpcMethods[Name]['result']> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const headers = { 'content-type': 'application/json' };
  const { text } = await httpCall(port, { method: 'POST', path: '/jrpc', headers, body, timeoutMs });
  const reply = JSON.parse(text) as {
    result: RpcMethods[Name]['result'];
    error?: ConstructorParameters<typeof RpcFailure>[0];
  };
  if (reply.error !== undefined) throw new RpcFailure(reply.error);
  return reply.result;
}

export interface HttpCall {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly timeoutMs?: number;
  readonly host?: string;
}

/** One exchange over a connection of its own, so that none is left from a process that was killed. */
export async function httpCall(port: number, call: HttpCall): Promise<HttpReply> {
  const { method = 'GET', path, headers = {}, body, timeoutMs = RPC_TIMEOUT_MS, host = '127.0.0.1' } = call;
  const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
  const signal = AbortSignal.timeout(timeoutMs);
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const outgoing = request(
    { host, port, method, path, headers: { ...headers, ...length }, agent: false, signal },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}
