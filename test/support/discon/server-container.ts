import type Docker from 'dockerode';
import type { DockerRun } from '../docker.ts';
import { waitFor } from '../wait-for.ts';
import { isListening } from './is-listening.ts';

const SERVER_PORT = 8080;
const LISTEN_TIMEOUT_MS = 30_000;
const MEMORY_BYTES = 512 * 1024 ** 2;
/** Each connection takes a thread. */
const MAX_PIDS = 256;
/** What precedes each piece of a container's output. */
const LOG_HEADER_BYTES = 8;
const WORKING_DIR = '/controller/';
/** How the engine marks a path that was in the image and is no more. */
const KIND_DELETED = 2;

export interface ServerContainerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The flags of the server, in place of the image's. */
  readonly command?: readonly string[];
  /** Comes back as soon as it runs, whether it listens or not. */
  readonly isAwaited?: boolean;
}

/** A server of controllers in a container, on the engine's bridge, reached at its own address. The run removes it. */
export class ServerContainer {
  readonly container: Docker.Container;
  readonly host: string;
  readonly port = SERVER_PORT;

  private constructor(container: Docker.Container, host: string) {
    this.container = container;
    this.host = host;
  }

  static async start(
    run: DockerRun,
    image: string,
    options: ServerContainerOptions = {},
  ): Promise<ServerContainer> {
    const { env = {}, command, isAwaited = true } = options;
    const container = await run.docker.createContainer({
      Image: image,
      Labels: run.labels,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...(command === undefined ? {} : { Cmd: [...command] }),
      HostConfig: { NetworkMode: 'bridge', Memory: MEMORY_BYTES, PidsLimit: MAX_PIDS },
    });
    await container.start();
    const { NetworkSettings } = await container.inspect();
    const host = NetworkSettings.Networks['bridge']?.IPAddress ?? '';
    const server = new ServerContainer(container, host);
    if (isAwaited) await server.untilListening();
    return server;
  }

  /** As a client is told where it is. */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  async untilListening(): Promise<void> {
    await waitFor(`${this.address} to listen`, LISTEN_TIMEOUT_MS, () => isListening(this.host, this.port));
  }

  /** Waits for its end. */
  async exitCode(): Promise<number> {
    const { StatusCode } = (await this.container.wait()) as { StatusCode: number };
    return StatusCode;
  }

  async isRunning(): Promise<boolean> {
    return (await this.container.inspect()).State.Running;
  }

  /** The lines it has written so far. */
  async log(): Promise<string[]> {
    const output = await this.container.logs({ stdout: true, stderr: true });
    const pieces: Buffer[] = [];
    for (let at = 0; at < output.length;) {
      const end = at + LOG_HEADER_BYTES + output.readUInt32BE(at + 4);
      pieces.push(output.subarray(at + LOG_HEADER_BYTES, end));
      at = end;
    }
    return Buffer.concat(pieces).toString('utf8').trimEnd().split('\n');
  }

  /** The names of what is in the server's working directory now. */
  async files(): Promise<string[]> {
    // Of a container that has changed nothing the engine says null.
    const answer: unknown = await this.container.changes();
    const changes = Array.isArray(answer) ? (answer as { Path: string; Kind: number }[]) : [];
    return changes
      .filter(({ Path, Kind }) => Path.startsWith(WORKING_DIR) && Kind !== KIND_DELETED)
      .map(({ Path }) => Path.slice(WORKING_DIR.length))
      .toSorted();
  }
}
