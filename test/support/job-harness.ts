import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import type { InstanceId, JobId, NodeId } from '../../src/kernel/ids.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import type { JobContext } from '../../src/jobs/context.ts';
import { EngineGate } from '../../src/jobs/engine-gate.ts';
import type { Job, JobState } from '../../src/jobs/job.ts';
import { JobLog } from '../../src/jobs/job-log.ts';
import { JobManager, type JobManagerOptions } from '../../src/jobs/job-manager.ts';
import type { JobDefaults } from '../../src/jobs/plan.ts';
import { expiryOf } from '../../src/jobs/retention.ts';
import { jobSpecSchema } from '../../src/jobs/spec.ts';
import type { RuntimeDriver } from '../../src/runtime/driver.ts';
import { SqliteJobStore } from '../../src/store/sqlite-job-store.ts';
import type { StoreError } from '../../src/jobs/job-store.ts';
import { SILENT_LOGGER } from '../../src/telemetry/logger.ts';
import { NO_TELEMETRY } from '../../src/telemetry/telemetry.ts';
import { FakeDriver } from './fake-driver.ts';

export const TEST_DEFAULTS: JobDefaults = {
  memoryBytes: 64 * 1024 ** 2,
  cpus: 0.5,
  pids: 64,
  network: 'container-manager',
  pull: 'missing',
  stopTimeoutMs: 1_000,
  queueTimeoutMs: 0,
  pullTimeoutMs: 5_000,
  startTimeoutMs: 5_000,
  runTimeoutMs: 0,
  retryAttempts: 3,
  retryBackoffMs: 10,
};

export const TEST_OPTIONS: JobManagerOptions = {
  workerCount: 4,
  queueSize: 100,
  maxRunning: 0,
  policy: {
    networks: [],
    publishAddresses: ['127.0.0.1'],
    registries: [],
    maxMemoryBytes: undefined,
    maxCpus: undefined,
    maxPids: 100,
  },
  retention: { keepCount: 1_000, keepMs: 3_600_000, tombstoneMs: 3_600_000 },
  reconcileIntervalMs: 200,
  reapGraceMs: 400,
  maxWaitMs: 60_000,
};

/** The image every test may use; the fake engine has it. */
export const TEST_IMAGE = 'test';

/** What a change of a job is waited for: a disk may be slow, and the reason be told before the test's own time is over. */
const REACH_MS = 15_000;

export interface HarnessOptions {
  readonly driver?: RuntimeDriver;
  readonly directory?: string;
  readonly options?: Partial<JobManagerOptions>;
  readonly defaults?: Partial<JobDefaults>;
  readonly settleMs?: number;
  readonly cluster?: string;
  readonly owner?: NodeId;
  readonly onFatal?: (error: StoreError) => void;
  readonly clock?: Clock;
}

/** A node's jobs without the node: a real store in a directory of its own, and a fake engine unless one is given. */
export class JobHarness implements AsyncDisposable {
  readonly directory: string;
  readonly owner: NodeId;
  readonly driver: RuntimeDriver;
  readonly store: SqliteJobStore;
  readonly log: JobLog;
  readonly gate: EngineGate;
  readonly jobs: JobManager;
  readonly #keepsDirectory: boolean;
  #isClosed = false;

  constructor(options: HarnessOptions = {}) {
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), 'cm-jobs-'));
    this.#keepsDirectory = options.directory !== undefined;
    this.driver = options.driver ?? fakeEngine();
    const managerOptions = { ...TEST_OPTIONS, ...options.options };
    const owner = options.owner ?? ('12D3KooWTest' as NodeId);
    this.owner = owner;
    const clock = options.clock ?? systemClock;
    const box = new SecretBox(Buffer.alloc(32, 7));
    const onFatal = options.onFatal ?? raise;
    this.store = new SqliteJobStore({ directory: this.directory, box, onFatal });
    this.log = new JobLog(
      { owner, expiryOf: (job) => expiryOf(job, managerOptions.retention) },
      { store: this.store, clock },
    );
    this.gate = new EngineGate({ driver: this.driver, clock });
    const context: JobContext = {
      driver: this.driver,
      gate: this.gate,
      log: this.log,
      clock,
      logger: SILENT_LOGGER,
      telemetry: NO_TELEMETRY,
      box,
      cluster: options.cluster ?? 'test-cluster',
      owner,
      defaults: { ...TEST_DEFAULTS, ...options.defaults },
      settleMs: options.settleMs ?? 0,
      pulls: new Map(),
    };
    this.jobs = new JobManager(managerOptions, { context, store: this.store });
  }

  static async start(options: HarnessOptions = {}): Promise<JobHarness> {
    const harness = new JobHarness(options);
    await harness.jobs.start();
    return harness;
  }

  /** The fake engine, for its knobs. */
  get fake(): FakeDriver {
    if (!(this.driver instanceof FakeDriver)) throw new Error('this harness has a real engine');
    return this.driver;
  }

  async create(spec: Record<string, unknown> = {}): Promise<Job> {
    return (await this.jobs.create(jobSpecSchema.parse({ image: TEST_IMAGE, ...spec }), 'local')).job;
  }

  /** Resolves with the job once it is in `state`. */
  async reach(id: JobId, state: JobState, timeoutMs = REACH_MS): Promise<Job> {
    return this.until(id, (job) => job.state === state, `job ${id} to be ${state}`, timeoutMs);
  }

  /** Resolves with the job once `condition` holds for it. */
  async until(id: JobId, condition: (job: Job) => boolean, what: string, timeoutMs = REACH_MS): Promise<Job> {
    const now = this.log.get(id);
    if (now !== undefined && condition(now)) return now;
    const { promise, resolve, reject } = Promise.withResolvers<Job>();
    const timer = setTimeout(() => {
      const job = this.log.get(id);
      reject(new Error(`waited for ${what}; it is ${job?.state} ${JSON.stringify(job?.outcome)}`));
    }, timeoutMs);
    using _subscription = this.log.subscribe((event, after) => {
      if (event.jobId === id && after !== undefined && condition(after)) resolve(after);
    });
    return await promise.finally(() => clearTimeout(timer));
  }

  /** The container of a job that is up. */
  instanceId(id: JobId): InstanceId {
    const instance = this.log.require(id).instance;
    if (instance === undefined) throw new Error(`job ${id} has no container`);
    return instance.id;
  }

  /** Ends everything as a clean shutdown does, and starts again on the same store and engine. */
  async restart(options: Omit<HarnessOptions, 'driver' | 'directory'> = {}): Promise<JobHarness> {
    await this.#end();
    const { owner, driver, directory } = this;
    return JobHarness.start({ ...options, owner, driver, directory });
  }

  async #end(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.jobs.close();
    this.store[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    if (!this.#keepsDirectory) rmSync(this.directory, { recursive: true, force: true });
  }
}

export function fakeEngine(): FakeDriver {
  const driver = new FakeDriver();
  driver.addImage(TEST_IMAGE);
  return driver;
}

function raise(error: Error): never {
  throw error;
}
