import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { disconArguments, messageIn } from '../../../support/discon/arguments.ts';
import { DisconClient, type DisconClientOptions } from '../../../support/discon/client.ts';
import { LIBRARY_PATHS } from '../../../support/discon/image.ts';
import { RawWebSocket } from '../../../support/discon/raw-web-socket.ts';
import { NodeHome, type NodeHomeOptions, type NodeProcess } from '../../../support/node-process.ts';
import { waitFor } from '../../../support/wait-for.ts';

/** Time for a container to stop. */
export const STOP_MS = 1_000;
/** For what was begun to be gone, on a busy machine, ms. */
const GONE_WITHIN_MS = 60_000;

export interface DoorNodeOptions extends NodeHomeOptions {
  readonly docker: Docker;
  /** As people write them into the database of controllers. */
  readonly controllers: readonly Record<string, unknown>[];
}

/** What a node has in hand for its clients. */
export interface Held {
  readonly sessions: number;
  readonly waiting: number;
  readonly instances: number;
  readonly containers: number;
}

/** A controller of the test image. */
export function controller(
  id: string,
  image: string,
  changes: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id,
    name: `Controller ${id}`,
    version: '1.0.0',
    image,
    description: '',
    library_path: LIBRARY_PATHS.controller,
    proc_name: 'DISCON',
    ports: { internal: 8080, external: 0 },
    resources: { memory: '64m' },
    ...changes,
  };
}

/** A real node with controllers to be led to, its clients, and a look at what all that takes. Dispose to end them. */
export class DoorNode implements AsyncDisposable {
  readonly home: NodeHome;
  readonly process: NodeProcess;
  readonly #docker: Docker;
  readonly #clients = new Set<Disposable>();

  private constructor(home: NodeHome, process: NodeProcess, docker: Docker) {
    this.home = home;
    this.process = process;
    this.#docker = docker;
  }

  static async start({ docker, controllers, ...options }: DoorNodeOptions): Promise<DoorNode> {
    const settings = {
      'frontdoor.stop_timeout': `${STOP_MS}ms`,
      'frontdoor.idle_timeout': '300ms',
      reap_grace: '2s',
      'catalog.discovery': 'manual',
      ...options.settings,
    } as const;
    const home = await NodeHome.create({ ...options, settings });
    mkdirSync(home.dataDir, { recursive: true });
    writeFileSync(join(home.dataDir, 'controllers.json'), JSON.stringify({ controllers }));
    const node = new DoorNode(home, await home.start(), docker);
    await node.#untilValidated();
    return node;
  }

  get address(): string {
    return `127.0.0.1:${this.home.port}`;
  }

  /** A stock client, which tries once. */
  async connect(libraryPath: string, options: Partial<DisconClientOptions> = {}): Promise<DisconClient> {
    const usual = { serverAddress: this.address, libraryPath, proc: 'DISCON', connectPausesMs: [] };
    const client = await DisconClient.connect({ ...usual, ...options });
    this.#clients.add(client);
    return client;
  }

  async open(target: string, port = this.home.port): Promise<RawWebSocket> {
    const socket = await RawWebSocket.open({ host: '127.0.0.1', port, target });
    this.#clients.add(socket);
    void socket.ended.then(() => this.#clients.delete(socket));
    return socket;
  }

  /** Drops the connections of all clients. */
  dropAll(): void {
    for (const client of this.#clients) client[Symbol.dispose]();
    this.#clients.clear();
  }

  /** As its metrics and its engine tell. */
  async held(): Promise<Held> {
    const { text } = await this.process.get('/metrics');
    const gauge = (name: string): number =>
      Number(new RegExp(`^container_manager_door_${name} (\\d+)$`, 'm').exec(text)?.[1]);
    const containers = (await this.containers()).length;
    return {
      sessions: gauge('sessions'),
      waiting: gauge('waiting'),
      instances: gauge('instances'),
      containers,
    };
  }

  /** Those that clients are led to. */
  async containers(): Promise<Docker.ContainerInfo[]> {
    const all = await this.home.containers(this.#docker);
    return all.filter(({ Labels }) => 'container-manager.sharing' in Labels);
  }

  async untilNothingIsHeld(): Promise<number> {
    let held: Held | undefined;
    const isNothing = async (): Promise<boolean> => {
      held = await this.held();
      return Object.values(held).every((count) => count === 0);
    };
    return waitFor('nothing to be held', GONE_WITHIN_MS, isNothing).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(held)}\n${this.home.log().slice(-4_000)}`);
    });
  }

  /** Open descriptors of the process. */
  descriptors(): number[] {
    return readdirSync(`/proc/${this.process.pid}/fd`).map(Number);
  }

  /** Memory of the process that is there, bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Before, containers of another kind would be made: of images that were not looked at. */
  async #untilValidated(): Promise<void> {
    await waitFor('all controllers to be validated', GONE_WITHIN_MS, async () => {
      const { controllers } = await this.process.rpc('ControllerService.List', {});
      return controllers.every(({ validated_at: validatedAt }) => validatedAt !== undefined);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropAll();
    await this.home[Symbol.asyncDispose]();
  }
}

/** One step of a simulator: what the controller says to it. */
export async function step(client: DisconClient, given = disconArguments()): Promise<string> {
  await client.call(given);
  return messageIn(given);
}
