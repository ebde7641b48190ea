import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { follow } from './engine-progress.ts';
import { freePort } from './free-port.ts';

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** What a registry with `auth` takes. */
export const REGISTRY_CREDENTIALS: RegistryCredentials = { username: 'tester', password: 'correct-horse' };
/** The same, as the registry's file of users has it (bcrypt, at the least cost). */
const HTPASSWD = 'tester:$2b$04$yjuyZmorOWgMfPX/VvpCJuGnChGs1oD7K428CJqY.xrC7w0M.C/aq\n';

const START_DEADLINE_MS = 60_000;

/** A real registry (Debian's docker-registry) on a free loopback port, with a directory of its own. */
export class TestRegistry implements AsyncDisposable {
  readonly port: number;
  readonly #docker: Docker;
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #credentials: RegistryCredentials | undefined;
  readonly #names = new Set<string>();

  private constructor(
    docker: Docker,
    port: number,
    child: ChildProcess,
    directory: string,
    credentials: RegistryCredentials | undefined,
  ) {
    this.#docker = docker;
    this.port = port;
    this.#process = child;
    this.#directory = directory;
    this.#credentials = credentials;
  }

  /** `auth`: only those who present `REGISTRY_CREDENTIALS` are served. */
  static async start(docker: Docker, options: { auth?: boolean } = {}): Promise<TestRegistry> {
    const directory = await mkdtemp(join(tmpdir(), 'cm-registry-'));
    const port = await freePort();
    await mkdir(join(directory, 'data'));
    await writeFile(join(directory, 'htpasswd'), HTPASSWD);
    await writeFile(join(directory, 'config.yml'), config(directory, port, options.auth === true));
    const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
    const credentials = options.auth === true ? REGISTRY_CREDENTIALS : undefined;
    const registry = new TestRegistry(docker, port, child, directory, credentials);
    const failed = once(child, 'error').then(([error]) => {
      throw new Error('docker-registry cannot be run; run: apt-get install -y docker-registry', {
        cause: error,
      });
    });
    await Promise.race([registry.#untilServing(), failed]);
    return registry;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /**
   * Puts an image that `make` makes into the registry, and takes it from the engine again. Returns its reference.
   * The name is to be nobody else's: disposing removes all images of that name from the engine.
   */
  async push(name: string, make: (docker: Docker, reference: string) => Promise<void>): Promise<string> {
    const reference = `${this.address}/${name}:1`;
    this.#names.add(name);
    await make(this.#docker, reference);
    const image = this.#docker.getImage(reference);
    const authconfig = { username: '', password: '', ...this.#credentials, serveraddress: this.address };
    await follow(this.#docker, await image.push({ authconfig }));
    await image.remove({ force: true });
    return reference;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    if (this.#process.exitCode === null && this.#process.kill('SIGKILL')) await ended;
    await rm(this.#directory, { recursive: true, force: true });
    const images = await this.#docker.listImages();
    // Pulled through a relay, an image of ours carries the relay's address.
    const isOurs = (tag: string): boolean =>
      tag.startsWith('127.0.0.1:') && this.#names.has(tag.split(/[/:]/)[2] ?? '');
    const tags = images.flatMap((image) => image.RepoTags ?? []).filter(isOurs);
    await Promise.all(tags.map((tag) => this.#docker.getImage(tag).remove({ force: true })));
  }

  async #untilServing(): Promise<void> {
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    while (performance.now() < deadlineMs) {
      const status = await fetch(`http://${this.address}/v2/`).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200 || status === 401) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`docker-registry does not serve within ${START_DEADLINE_MS} ms`);
  }
}

function config(directory: string, port: number, hasAuth: boolean): string {
  const auth = hasAuth ? `auth: { htpasswd: { realm: test, path: ${join(directory, 'htpasswd')} } }\n` : '';
  return (
    `version: 0.1\nlog: { level: error }\n` +
    `storage: { filesystem: { rootdirectory: ${join(directory, 'data')} } }\n` +
    `http: { addr: '127.0.0.1:${port}' }\n${auth}`
  );
}
