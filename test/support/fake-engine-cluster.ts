import { afterAll } from 'vitest';
import type { CreateParams } from '../../src/api/wire.ts';
import { type Member, type MemberOptions, ProcessCluster } from './cluster-processes.ts';
import { DaemonBundle } from './daemon-bundle.ts';
import { EngineServer } from './engine-server.ts';
import { FakeDriver } from './fake-driver.ts';

export const SHORT_JOB = { image: 'test', arguments: ['wait', '20', 'exit', '0'] } satisfies CreateParams;
export const LONG_JOB = { image: 'test' } satisfies CreateParams;
const RUNS_WITHIN_MS = 20_000;

const JOB_LABEL = 'container-manager.job';

/** One for all tests of a file. */
let bundle: Promise<DaemonBundle> | undefined;
afterAll(async () => (await bundle)?.[Symbol.dispose]());

/** A cluster whose engine is served by the test itself, which so sees every container of every node. */
export class FakeEngineCluster implements AsyncDisposable {
  readonly driver: FakeDriver;
  readonly cluster: ProcessCluster;
  readonly #parts: AsyncDisposableStack;

  private constructor(driver: FakeDriver, cluster: ProcessCluster, parts: AsyncDisposableStack) {
    this.driver = driver;
    this.cluster = cluster;
    this.#parts = parts;
  }

  static async make(): Promise<FakeEngineCluster> {
    await using parts = new AsyncDisposableStack();
    bundle ??= DaemonBundle.make();
    const { program } = await bundle;
    const { driver, env } = await startEngine(parts);
    const settings = { queue_size: 10_000, worker_count: 4, reconcile_interval: '2s', reap_grace: '1s' };
    const cluster = parts.use(new ProcessCluster({ program, env, settings }));
    return new FakeEngineCluster(driver, cluster, parts.move());
  }

  start(count: number, options?: MemberOptions): Promise<Member[]> {
    return this.cluster.start(count, options);
  }

  /** Another engine, for a member that is added with its `env`. What is counted here are the containers of the first. */
  addEngine(): Promise<ServedEngine> {
    return startEngine(this.#parts);
  }

  /** How many containers were made for a job, by any node. */
  containersOf(jobId: string): number {
    return this.#counts().get(jobId) ?? 0;
  }

  /** Jobs that have more than one container, each with how many. */
  duplicates(): string[] {
    return [...this.#counts()].filter(([, count]) => count > 1).map(([job, count]) => `${job}: ${count}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  #counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { labels } of this.driver.instances.values()) {
      const job = labels[JOB_LABEL] ?? 'none';
      counts.set(job, (counts.get(job) ?? 0) + 1);
    }
    return counts;
  }
}

/** An engine, and what a node is to be told of it. */
export interface ServedEngine {
  readonly driver: FakeDriver;
  readonly env: Readonly<Record<string, string>>;
}

async function startEngine(parts: AsyncDisposableStack): Promise<ServedEngine> {
  const driver = new FakeDriver({ latencyMs: 2 });
  driver.addImage('test');
  const { socketPath } = parts.use(await EngineServer.start(driver));
  return { driver, env: { CM_TEST_ENGINE: socketPath } };
}

export async function create(member: Member, params: CreateParams = SHORT_JOB): Promise<string> {
  return (await member.rpc('ContainerService.Create', { ...params })).job_id;
}

/** One that runs until it is stopped. */
export async function createRunning(member: Member): Promise<string> {
  const job_id = await create(member, LONG_JOB);
  await member.rpc('JobService.Wait', { job_id, until: 'running', timeout_ms: RUNS_WITHIN_MS });
  return job_id;
}
