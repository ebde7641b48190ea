import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { ContainerCreateOptions } from 'dockerode';
import { RpcClient } from '../../src/api/client.ts';
import { planInstance } from '../../src/jobs/plan.ts';
import { jobSpecSchema } from '../../src/jobs/spec.ts';
import { newJobId, type NodeId } from '../../src/kernel/ids.ts';
import { createBody } from '../../src/runtime/docker/create-body.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../support/docker.ts';
import { TEST_DEFAULTS } from '../support/job-harness.ts';
import { Child } from './child.ts';
import type { EngineDeploys, EngineTimes } from './children/engine.ts';
import type { NodeStart } from './children/node.ts';
import { timeInFlight } from './measure/in-flight.ts';
import type { BenchContext } from './suite.ts';

/** The node's default; it makes it when it is first needed. */
const NETWORK = 'container-manager';
const LABEL = 'container-manager-bench';
const SPEC = {
  image: TEST_IMAGE,
  arguments: ['sleep', '600'],
  resources: { cpu: 0.5, memory: '32m' },
  env: {},
  // What is measured is how they start; nobody waits for how they end.
  stop_timeout: '0s',
};
type Spec = typeof SPEC & { readonly labels: Readonly<Record<string, string>> };
/** Longest that a deploy may take, ms. */
const MAX_DEPLOY_MS = 60_000;
const CLEANUP_CONCURRENCY = 8;

/** A node on the real engine, and the same engine without a node. Removes whatever it made. */
export class EngineTarget implements AsyncDisposable {
  readonly #docker: Docker;
  readonly #spec: Spec = { ...SPEC, labels: { [LABEL]: String(process.pid) } };
  readonly #node: Child;
  readonly #engine: Child;
  readonly #client: RpcClient;
  #jobs: string[] = [];

  private constructor(docker: Docker, parts: { node: Child; engine: Child; client: RpcClient }) {
    this.#docker = docker;
    this.#node = parts.node;
    this.#engine = parts.engine;
    this.#client = parts.client;
  }

  static async start(context: BenchContext): Promise<EngineTarget> {
    const docker = await requireDocker();
    await buildTestImage(docker);
    const node = new Child('node', context);
    const dataDir = mkdtempSync(join(context.workDir, 'node-'));
    const port = await node.ask<number>('start', {
      engine: 'docker',
      dataDir,
      flags: {},
    } satisfies NodeStart);
    const client = new RpcClient({ address: `127.0.0.1:${port}` });
    return new EngineTarget(docker, { node, engine: new Child('engine', context), client });
  }

  /** Deploys over the API, each awaited until it runs; resolves with the time all of them took, s. */
  async deployByNode(count: number, concurrency: number): Promise<number> {
    return timeInFlight(count, concurrency, async () => {
      const { job_id, status } = await this.#client.call(
        'ContainerService.Create',
        { ...this.#spec, wait_ms: MAX_DEPLOY_MS },
        { timeoutMs: MAX_DEPLOY_MS },
      );
      this.#jobs.push(job_id);
      if (status !== 'running') throw new Error(`job ${job_id} is ${status}`);
    });
  }

  async deployByEngine(count: number, concurrency: number): Promise<EngineTimes> {
    return this.#engine.ask('deploy', {
      body: bodyOf(this.#spec),
      count,
      concurrency,
    } satisfies EngineDeploys);
  }

  /** Removes what was deployed. */
  async clear(): Promise<void> {
    await this.#engine.ask('clear');
    const jobs = this.#jobs;
    this.#jobs = [];
    await timeInFlight(jobs.length, CLEANUP_CONCURRENCY, async (index) => {
      const job_id = jobs[index] as string;
      await this.#client.call('ContainerService.Remove', { job_id, force: true });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
    const filters = { label: [`${LABEL}=${this.#spec.labels[LABEL]}`] };
    const left = await this.#docker.listContainers({ all: true, filters });
    await Promise.all(left.map(({ Id }) => this.#docker.getContainer(Id).remove({ force: true, v: true })));
  }
}

/** What the node asks the engine for, but for the marks of a job: those would make the containers its own. */
function bodyOf(spec: Spec): ContainerCreateOptions {
  const mark = {
    cluster: 'none',
    owner: 'none' as NodeId,
    job: newJobId(Date.now()),
    attempt: 1,
    spec: '0'.repeat(32),
  };
  return createBody(
    planInstance(jobSpecSchema.parse(spec), mark, { ...TEST_DEFAULTS, network: NETWORK, pids: 256 }),
  );
}
