import { Catalog } from './catalog/catalog.ts';
import type { Controller } from './catalog/controller.ts';
import type { Config } from './config/settings.ts';
import { FrontDoor } from './frontdoor/front-door.ts';
import { OtherNodes } from './frontdoor/other-nodes.ts';
import type { TunnelNetwork } from './frontdoor/tunnel-network.ts';
import { serveTunnels } from './frontdoor/tunnel-server.ts';
import { templateOf, type TemplateDefaults } from './instances/controller-template.ts';
import { InstanceError } from './instances/errors.ts';
import { upstreamOf } from './instances/instance-job.ts';
import { KnownImages } from './instances/known-images.ts';
import { InstancePool } from './instances/instance-pool.ts';
import type { Upstream } from './instances/instances.ts';
import type { EngineGate } from './jobs/engine-gate.ts';
import type { JobLog } from './jobs/job-log.ts';
import type { JobManager } from './jobs/job-manager.ts';
import type { Clock } from './kernel/clock.ts';
import type { InvariantError } from './kernel/errors.ts';
import type { JobId, NodeId } from './kernel/ids.ts';
import { catalogOptionsOf, frontDoorOptionsOf, poolOptionsOf } from './node-options.ts';
import type { RuntimeDriver } from './runtime/driver.ts';
import type { DoorMetrics } from './telemetry/door-metrics.ts';
import type { HealthPart } from './telemetry/health.ts';
import type { Logger } from './telemetry/logger.ts';

export interface NodeFrontDoorOptions {
  readonly config: Config;
  readonly dataDir: string;
  readonly owner: NodeId;
}

export interface NodeFrontDoorDependencies {
  readonly jobs: JobManager;
  readonly log: JobLog;
  readonly driver: RuntimeDriver;
  readonly gate: EngineGate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly catalogLogger: Logger;
  readonly metrics: DoorMetrics;
  readonly health: HealthPart;
  readonly onInvariantError: (error: InvariantError) => void;
}

/** For the engine to remove what has stopped, ms. */
const REMOVAL_MS = 1_000;

/** What leads clients to containers: the catalog, the instances and the door. A part of the composition root. */
export class NodeFrontDoor implements AsyncDisposable {
  readonly catalog: Catalog;
  readonly door: FrontDoor;
  readonly #pool: InstancePool;
  readonly #health: HealthPart;
  readonly #deps: NodeFrontDoorDependencies;
  readonly #defaults: TemplateDefaults;
  readonly #openTimeoutMs: number;
  readonly #stopTimeoutMs: number;
  #catalogSubscription: Disposable | undefined;
  #isStarted = false;

  constructor({ config, dataDir, owner }: NodeFrontDoorOptions, deps: NodeFrontDoorDependencies) {
    const { jobs, log, driver, gate, clock, logger, metrics, onInvariantError } = deps;
    this.#health = deps.health;
    this.#deps = deps;
    this.#openTimeoutMs = config['frontdoor.start_timeout'] + config['frontdoor.handshake_timeout'];
    this.#defaults = frontDoorOptionsOf(config).defaults;
    this.#stopTimeoutMs = config['frontdoor.stop_timeout'];
    const whenAvailable = (signal: AbortSignal): Promise<void> => gate.whenAvailable(signal);
    const catalogDeps = { driver, whenAvailable, clock, logger: deps.catalogLogger };
    this.catalog = new Catalog(catalogOptionsOf(config, dataDir, owner), catalogDeps);
    const poolDeps = { jobs, log, engine: driver, gate, clock, logger };
    this.#pool = new InstancePool(poolOptionsOf(config), poolDeps);
    const upstreamOfJob = (id: JobId): Upstream => reachableAt(id, log);
    this.door = new FrontDoor(frontDoorOptionsOf(config), {
      ...{ catalog: this.catalog, instances: this.#pool, upstreamOfJob },
      ...{ clock, logger, telemetry: metrics, onInvariantError },
    });
    metrics.watch({
      sessions: () => this.door.sessionCount,
      waiting: () => this.#pool.waitingCount,
      instances: () => this.#pool.count,
    });
  }

  /** From now on clients are led to other nodes as well, and clients of those to this one. */
  connect(network: TunnelNetwork, ownerOf: (job: JobId) => NodeId | undefined): void {
    const { driver, clock, log } = this.#deps;
    const { catalog, door } = this;
    const images = new KnownImages({ driver, clock });
    const hasImage = (reference: string, signal: AbortSignal): Promise<boolean> =>
      images.has(reference, signal);
    serveTunnels({ network, door, catalog, hasImage, room: () => this.#pool.room });
    door.leadElsewhere(
      new OtherNodes(
        { openTimeoutMs: this.#openTimeoutMs },
        {
          ...{ network, catalog, hasImage, clock },
          ownerOf: (job) => (log.get(job) === undefined ? ownerOf(job) : undefined),
        },
      ),
    );
  }

  /** Once the jobs are known. */
  async start(): Promise<void> {
    this.#pool.start();
    await this.catalog.start();
    this.#catalogSubscription = this.catalog.subscribe((controllers) => this.#keepWarm(controllers));
    this.#keepWarm(this.catalog.list());
    this.#isStarted = true;
  }

  /** What the catalog is like just now. One that is broken goes on with its last good state. */
  refreshHealth(): void {
    if (!this.#isStarted) return;
    const { problem } = this.catalog;
    if (problem === undefined) this.#health.ok();
    else this.#health.down(problem.message);
  }

  /**
   * Leads nobody anywhere any more. Sessions may end by themselves, for as long as the grace leaves time to stop the instances that
   * are theirs alone; those end with the last of them.
   */
  async stop(graceMs: number, force: AbortSignal): Promise<void> {
    this.#pool.drain();
    await this.door.drain(Math.max(0, graceMs - this.#stopTimeoutMs - REMOVAL_MS), force);
    await this.#pool.close(force);
  }

  #keepWarm(controllers: readonly Controller[]): void {
    const wishes = controllers
      .filter(({ is_valid: isValid }) => isValid)
      .map((controller) => ({ template: templateOf(controller, this.#defaults), count: controller.warm }));
    this.#pool.keepWarm(wishes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#catalogSubscription?.[Symbol.dispose]();
    this.door[Symbol.dispose]();
    await this.#pool[Symbol.asyncDispose]();
    await this.catalog[Symbol.asyncDispose]();
  }
}

/** Where the container of a job is reached, of this very id. Fails with an `InstanceError` `not_running`. */
export function reachableAt(id: JobId, log: JobLog): Upstream {
  const job = log.get(id);
  const upstream = job?.state === 'running' ? upstreamOf(job) : undefined;
  if (upstream !== undefined) return upstream;
  const why = job === undefined ? 'is not known on this node' : `is ${job.state}, or has no port`;
  throw new InstanceError('not_running', `job ${id} ${why}; its container must run here`, {
    details: { job_id: id },
  });
}
