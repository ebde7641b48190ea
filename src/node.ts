import { accessSync, constants, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { METHODS } from './api/methods/table.ts';
import { NoPeers } from './api/no-peers.ts';
import { createApiServer, type ApiServer } from './api/server.ts';
import type { HealthView } from './api/wire.ts';
import type { Config } from './config/settings.ts';
import type { JobContext } from './jobs/context.ts';
import { EngineGate } from './jobs/engine-gate.ts';
import { JobLog } from './jobs/job-log.ts';
import { JobManager } from './jobs/job-manager.ts';
import { ContainerSampler, countJobs } from './jobs/job-telemetry.ts';
import { NodeDrain } from './jobs/node-drain.ts';
import { expiryOf } from './jobs/retention.ts';
import { systemClock } from './kernel/clock.ts';
import { CodedError, messageOf } from './kernel/errors.ts';
import { abortable } from './kernel/single-flight.ts';
import { SecretBox } from './kernel/secret-box.ts';
import { apiOptionsOf, jobDefaultsOf, jobPolicyOf, retentionOf } from './node-options.ts';
import { descriptorLimit, withinDescriptors } from './node-descriptors.ts';
import { NodeFrontDoor } from './node-front-door.ts';
import { NodePeers, type NodePeersDependencies, type NodePeersOptions } from './node-peers.ts';
import { loadIdentity } from './peers/identity.ts';
import { loadMembership } from './peers/membership.ts';
import type { RuntimeDriver } from './runtime/driver.ts';
import { DockerDriver } from './runtime/docker/docker-driver.ts';
import { measuredDriver } from './runtime/measured-driver.ts';
import { FileDrainMark } from './store/drain-mark.ts';
import { SqliteJobStore } from './store/sqlite-job-store.ts';
import { Health } from './telemetry/health.ts';
import { subsystemLogger, type Logger } from './telemetry/logger.ts';
import { Metrics } from './telemetry/metrics.ts';

export const VERSION: string = packageJson.version;

export interface NodeOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** What the node cannot go on after; whoever runs the process ends it. */
  readonly onFatal: (error: Error) => void;
  /** Gives the start up: whatever is open is closed, and the start fails with the signal's reason. */
  readonly signal?: AbortSignal;
  /** In place of Docker, for tests and measurements. */
  readonly driver?: RuntimeDriver;
}

/** A running node. */
export interface Node {
  readonly address: string;
  readonly port: number;
  /**
   * Accepts nothing new, finishes what is in hand within the grace period, and closes everything; aborting `force`
   * ends the grace at once. Containers go on running. Twice is as once.
   */
  stop(force: AbortSignal): Promise<void>;
}

/**
 * Builds every part of a node in the order of their dependencies, and starts them: take the port first, so that one
 * that is in use is known before anything is deployed, adopt then, and accept last.
 */
export async function startNode(options: NodeOptions): Promise<Node> {
  const { logger, onFatal } = options;
  const config = fitDescriptors(options.config, logger);
  const startedMs = performance.now();
  const clock = systemClock;
  const dataDir = prepareDataDir(config.data_dir);
  const identity = loadIdentity(join(dataDir, 'identity.key'));
  const membership = loadMembership({
    dataDir,
    keyFile: config.cluster_key_file,
    joinToken: config.join,
    nodeId: identity.nodeId,
    log: subsystemLogger(logger, 'peers'),
  });
  const box = new SecretBox(identity.seed);
  const health = new Health();
  const metrics = new Metrics({ version: VERSION, methods: Object.keys(METHODS) });

  const parts = new AsyncDisposableStack();
  try {
    const store = parts.use(
      new SqliteJobStore({
        directory: dataDir,
        box,
        onFatal: (error) => {
          metrics.storeError(error.code);
          onFatal(error);
        },
        onBatch: (seconds, count) => metrics.storeCommit(count, seconds * 1000),
      }),
    );
    const storeHealth = health.register('store', { isRequired: true });

    const driver = parts.use(
      measuredDriver(
        options.driver ??
          new DockerDriver({
            host: config['docker.host'],
            callTimeoutMs: config['docker.call_timeout'],
            // Each job has a limit of its own.
            pullTimeoutMs: Number.POSITIVE_INFINITY,
            pullInactivityMs: config['docker.pull_inactivity'],
          }),
        (call, outcome, durationMs) => metrics.engineCall(call, outcome, durationMs),
      ),
    );
    const engineHealth = health.register('docker', { isRequired: true });
    const gate = new EngineGate({ driver, clock });
    gate.subscribe((isAvailable) => {
      metrics.engineUp(isAvailable);
      logger[isAvailable ? 'info' : 'warn'](
        isAvailable ? { engine: gate.info?.name } : { reason: gate.failure },
        isAvailable ? 'engine available' : 'engine unavailable; jobs wait for it',
      );
    });

    const retention = retentionOf(config);
    const log = new JobLog(
      { owner: identity.nodeId, expiryOf: (job) => expiryOf(job, retention) },
      { store, clock },
    );
    parts.use(countJobs(log, metrics));
    const context: JobContext = {
      driver,
      gate,
      log,
      clock,
      logger: subsystemLogger(logger, 'jobs'),
      telemetry: metrics,
      box,
      cluster: membership.clusterId,
      owner: identity.nodeId,
      defaults: jobDefaultsOf(config),
      settleMs: config.settle_time,
      pulls: new Map(),
    };
    const jobs = new JobManager(
      {
        workerCount: config.worker_count,
        queueSize: config.queue_size,
        maxRunning: config.max_running,
        policy: jobPolicyOf(config),
        retention,
        reconcileIntervalMs: config.reconcile_interval,
        reapGraceMs: config.reap_grace,
        maxWaitMs: config['limits.wait'],
      },
      { context, store },
    );
    parts.defer(() => jobs.close());
    const jobsHealth = health.register('jobs', { isRequired: true });
    let isStarting = true;
    const sampler = new ContainerSampler({ jobs, telemetry: metrics });
    metrics.watch({
      queue: () => jobs.queue(),
      jobsByState: () => jobs.countByState(),
      sampleContainers: () => sampler.refresh(),
    });

    const uptimeMs = (): number => Math.round(performance.now() - startedMs);
    const healthView = (): HealthView => {
      if (store.hasSpace) storeHealth.ok();
      else storeHealth.down('the disk is full: nothing new is admitted');
      if (gate.failure === undefined) engineHealth.ok(gate.info?.name);
      else engineHealth.down(gate.failure);
      door.refreshHealth();
      const { status, ready, parts: partViews } = health.report();
      const view = { version: VERSION, node: identity.nodeId, uptime_ms: uptimeMs() };
      return { status, ready, ...view, parts: { ...partViews } };
    };
    const nodeDrain = new NodeDrain({
      jobs,
      mark: new FileDrainMark(dataDir),
      logger: subsystemLogger(logger, 'node'),
    });
    const self = { node_id: identity.nodeId, cluster_id: membership.clusterId, name: hostname() };
    const peers = config['peers.enabled']
      ? parts.use(
          await startPeers(
            { config, dataDir, identity, membership, self, version: VERSION },
            {
              clock,
              logger: subsystemLogger(logger, 'peers'),
              metrics: metrics.peers,
              health: health.register('peers', { isRequired: false }),
              log,
              store,
              own: jobs,
              engine: gate,
              driver,
              telemetry: metrics,
              isDraining: () => nodeDrain.isDrained,
              onFatal,
            },
          ),
        )
      : undefined;
    const door = parts.use(
      new NodeFrontDoor(
        { config, dataDir, owner: identity.nodeId },
        {
          jobs,
          log,
          driver,
          gate,
          clock,
          logger: subsystemLogger(logger, 'frontdoor'),
          catalogLogger: subsystemLogger(logger, 'catalog'),
          metrics: metrics.door,
          health: health.register('catalog', { isRequired: false }),
          onInvariantError: onFatal,
        },
      ),
    );
    const api: ApiServer = createApiServer(apiOptionsOf(config), {
      jobs: peers?.jobs ?? jobs,
      controllers: door.catalog,
      frontDoor: door.door,
      peers: peers?.view ?? new NoPeers(self),
      node: {
        info: () => ({ ...self, version: VERSION, uptime_ms: uptimeMs(), draining: nodeDrain.isDrained }),
        drain: () => {
          nodeDrain.drain();
          peers?.announce();
        },
        undrain: () => {
          nodeDrain.undrain();
          peers?.announce();
        },
      },
      logger: subsystemLogger(logger, 'api'),
      metrics,
      clock,
      health: healthView,
      isStarting: () => isStarting,
      version: () => ({
        version: VERSION,
        node_version: process.versions.node,
        ...(gate.info === undefined
          ? {}
          : { engine: gate.info.name, engine_api_version: gate.info.apiVersion }),
      }),
      onInvariantError: onFatal,
    });

    parts.defer(() => api.close({ graceMs: 0 }));
    const { address, port } = await listen(api, config);
    await abortable(jobs.start(), options.signal ?? new AbortController().signal);
    peers?.openForJobs();
    await door.start();
    if (peers !== undefined) door.connect(peers.tunnels, (id) => peers.ownerOf(id));
    isStarting = false;
    jobsHealth.ok();
    warnOfAccess(config, logger);
    logger.info({ address, port, node: identity.nodeId, data_dir: dataDir, version: VERSION }, 'node is up');

    let stopping: Promise<void> | undefined;
    const stop = async (force: AbortSignal): Promise<void> => {
      health.drain();
      logger.info({ waiting: jobs.queue().waiting, working: jobs.queue().working }, 'node drains');
      const graceMs = config.grace_period;
      peers?.jobs.drain();
      try {
        await Promise.all([
          jobs.drain(force),
          door.stop(graceMs, force),
          api.close({ graceMs, signal: force }),
        ]);
      } finally {
        await parts.disposeAsync();
      }
      logger.info({}, 'node is down');
    };
    return { address, port, stop: (force) => (stopping ??= stop(force)) };
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
}

/** What keeps a node from starting, and its user can mend. */
export class StartError extends CodedError<'data_dir_unusable' | 'address_unusable'> {
  override readonly name = 'StartError';
}

function fitDescriptors(config: Config, logger: Logger): Config {
  const limit = descriptorLimit();
  const fitted = withinDescriptors(config, limit);
  if (fitted !== config) {
    const { 'limits.connections': connections, 'frontdoor.max_sessions': sessions } = fitted;
    const message =
      'fewer connections are let in than the settings allow: too few files may be open (ulimit -n)';
    logger.warn({ limit, 'limits.connections': connections, 'frontdoor.max_sessions': sessions }, message);
  }
  return fitted;
}

async function startPeers(options: NodePeersOptions, deps: NodePeersDependencies): Promise<NodePeers> {
  try {
    return await NodePeers.start(options, deps);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const { p2p_port: port } = options.config;
    throw new StartError(
      'address_unusable',
      `${messageOf(error)}: port ${port} is in use by another program; stop it, or choose another port with --p2p-port`,
      { cause: error, details: { port } },
    );
  }
}

async function listen(api: ApiServer, config: Config): Promise<{ address: string; port: number }> {
  const { listen_address: host, port } = config;
  try {
    return await api.listen();
  } catch (error) {
    const remedy =
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? `port ${port} is in use by another program; stop it, or choose another port with --port`
        : 'choose another address with --listen-address or another port with --port';
    throw new StartError(
      'address_unusable',
      `cannot listen on ${host} port ${port} (${messageOf(error)}): ${remedy}`,
      { cause: error, details: { address: host, port } },
    );
  }
}

function prepareDataDir(dataDir: string): string {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StartError(
      'data_dir_unusable',
      `data dir ${dataDir} cannot be used (${messageOf(error)}); give the user write access to it, or choose another with --data-dir`,
      { cause: error },
    );
  }
  return dataDir;
}

function warnOfAccess(config: Config, logger: Logger): void {
  if (config['auth.mode'] === 'none') {
    logger.warn(
      {},
      'auth.mode is none: whoever reaches this node controls its Docker Engine, and so its host',
    );
  } else if (config['auth.tokens'].length === 0) {
    logger.info({}, 'no token is configured: only clients on this host are served');
  }
}
