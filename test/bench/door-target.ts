import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { ContainerCreateOptions } from 'dockerode';
import { controllerSchema } from '../../src/catalog/controller.ts';
import { DOOR_PATH } from '../../src/frontdoor/local-opener.ts';
import { templateOf } from '../../src/instances/controller-template.ts';
import { instanceRequest } from '../../src/instances/instance-job.ts';
import { planInstance } from '../../src/jobs/plan.ts';
import { newJobId, type NodeId } from '../../src/kernel/ids.ts';
import { createBody } from '../../src/runtime/docker/create-body.ts';
import { importControllerImage, LIBRARY_PATHS, type ControllerImage } from '../support/discon/image.ts';
import { openUpgrade } from '../support/discon/upgrade.ts';
import { requireDocker } from '../support/docker.ts';
import { TEST_DEFAULTS } from '../support/job-harness.ts';
import { rpcCall } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { Child } from './child.ts';
import type { EngineDeploys, EngineTimes } from './children/engine.ts';
import type { NodeStart } from './children/node.ts';
import type { BenchContext } from './suite.ts';

/** The node's default; it makes it when it is first needed. */
const NETWORK = 'container-manager';
const PORT = 8080;
const PIDS = 256;
const CLEAR_LIMIT_MS = 30_000;
const STOP_MS = 1_000;
/** For an engine that has removed a container to be done with it, so that the next to be measured does not wait for that. */
const QUIET_MS = 300;

type ControllerName = 'alone' | 'shared' | 'warm';

/** As it stands in the database; each client has a container to itself, or all have the same. */
const entryOf = (id: ControllerName, image: string) => ({
  id,
  version: '1.0.0',
  image,
  library_path: LIBRARY_PATHS.controller,
  proc_name: 'DISCON',
  ports: { internal: PORT, external: 0 },
  resources: { cpu: 1, memory: '64m', pids: PIDS },
  sharing: id === 'shared' ? ('shared' as const) : ('exclusive' as const),
  idle_timeout: 1_000,
});

/** A node on the real engine with an image of a controller, and the same engine without a node. Removes whatever it made. */
export class DoorTarget implements AsyncDisposable {
  readonly #docker: Docker;
  readonly #image: ControllerImage;
  readonly #node: Child;
  readonly #engine: Child;
  readonly #port: number;

  private constructor(parts: {
    docker: Docker;
    image: ControllerImage;
    node: Child;
    engine: Child;
    port: number;
  }) {
    this.#docker = parts.docker;
    this.#image = parts.image;
    this.#node = parts.node;
    this.#engine = parts.engine;
    this.#port = parts.port;
  }

  static async start(context: BenchContext): Promise<DoorTarget> {
    await using parts = new AsyncDisposableStack();
    const docker = await requireDocker();
    const image = parts.use(await importControllerImage(docker, { type: null }));
    const dataDir = mkdtempSync(join(context.workDir, 'node-'));
    const controllers = (['alone', 'shared', 'warm'] as const).map((id) => entryOf(id, image.reference));
    writeFileSync(join(dataDir, 'controllers.json'), JSON.stringify({ controllers }));
    const node = parts.use(new Child('node', context));
    const flags = { 'catalog-discovery': 'manual', 'frontdoor-stop-timeout': `${STOP_MS}ms` };
    const port = await node.ask<number>('start', { engine: 'docker', dataDir, flags } satisfies NodeStart);
    const engine = parts.use(new Child('engine', context));
    parts.move();
    return new DoorTarget({ docker, image, node, engine, port });
  }

  /** From a client's first byte to its 101, ms; then the client goes. */
  async timeOpening(controller: ControllerName): Promise<number> {
    return timeUpgrade({
      host: '127.0.0.1',
      port: this.#port,
      target: `${DOOR_PATH}?controller=${controller}`,
    });
  }

  /** The same straight to the container of the shared one, which must run. */
  async timeWithoutNode(): Promise<number> {
    const [running] = await this.#containers();
    const host = running?.NetworkSettings.Networks[NETWORK]?.IPAddress;
    if (host === undefined) throw new Error('no container of the shared controller runs');
    const query = new URLSearchParams({ path: LIBRARY_PATHS.controller, proc: 'DISCON' });
    return timeUpgrade({ host, port: PORT, target: `${DOOR_PATH}?${query.toString()}` });
  }

  /** A client that stays, so that a shared container runs. */
  async holdShared(): Promise<Disposable> {
    const target = `${DOOR_PATH}?controller=shared`;
    const { socket } = await openUpgrade({ host: '127.0.0.1', port: this.#port, target });
    return { [Symbol.dispose]: () => void socket.destroy() };
  }

  /** From now on one container of the warm controller is ready and paused while nobody has it. */
  async keepWarm(): Promise<void> {
    await rpcCall(this.#port, 'ControllerService.Update', { id: 'warm', changes: { warm: 1 } });
    await this.untilWarm();
  }

  /** Until that is so, and nothing else is left. */
  async untilWarm(): Promise<void> {
    await this.#engine.ask('clear');
    await waitFor('one warm container and no other', CLEAR_LIMIT_MS, async () => {
      const all = await this.#containers();
      return all.length === 1 && all[0]?.State === 'paused';
    });
    await delay(QUIET_MS);
  }

  /** Create and start of the very same container, straight to the engine, ms. */
  async timeEngine(): Promise<number> {
    const deploy: EngineDeploys = { body: this.#body(), count: 1, concurrency: 1 };
    const { createAndStartMs } = await this.#engine.ask<EngineTimes>('deploy', deploy);
    return createAndStartMs;
  }

  /** Until the containers of clients that have gone are gone, too. */
  async clear(): Promise<void> {
    await this.#engine.ask('clear');
    await waitFor(
      'the containers to be removed',
      CLEAR_LIMIT_MS,
      async () => (await this.#containers()).length === 0,
    );
    await delay(QUIET_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
    const left = await this.#containers();
    await Promise.all(left.map(({ Id }) => this.#docker.getContainer(Id).remove({ force: true, v: true })));
    await this.#image[Symbol.asyncDispose]();
  }

  #containers(): Promise<Docker.ContainerInfo[]> {
    return this.#docker.listContainers({ all: true, filters: { ancestor: [this.#image.reference] } });
  }

  /** What the node asks the engine for, but for the marks of a job: those would make the container its own. */
  #body(): ContainerCreateOptions {
    const controller = controllerSchema.parse(entryOf('alone', this.#image.reference));
    const defaults = { memory: 0, cpu: 0, maxInstances: 1, maxConnections: 1 };
    const times = { startTimeoutMs: 1_000, stopTimeoutMs: STOP_MS, idleTimeoutMs: 1_000 };
    const mark = {
      cluster: 'none',
      owner: 'none' as NodeId,
      job: newJobId(Date.now()),
      attempt: 1,
      spec: '0'.repeat(32),
    };
    const spec = { ...instanceRequest(templateOf(controller, { ...defaults, ...times })), labels: {} };
    return createBody(planInstance(spec, mark, { ...TEST_DEFAULTS, network: NETWORK, pids: PIDS }));
  }
}

async function timeUpgrade(to: { host: string; port: number; target: string }): Promise<number> {
  const startedMs = performance.now();
  const { socket } = await openUpgrade(to);
  const tookMs = performance.now() - startedMs;
  socket.destroy();
  return tookMs;
}
