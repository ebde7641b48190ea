import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Docker from 'dockerode';
import { RpcClient } from '../src/api/client.ts';
import type { CreateParams, JobView } from '../src/api/wire.ts';
import { messageOf } from '../src/kernel/errors.ts';
import { buildDemoImage, removeDemoImage, type DemoImage } from './demo/image.ts';
import { freePort, NodeChild } from './demo/node-child.ts';
import { Steps } from './demo/steps.ts';

const HELP = `Usage: npm run demo [-- --exit]

Shows the main job live: a node, a container made from a curl, its status, its logs, its end.

Options:
  --exit  ends the node at the end and leaves nothing behind; otherwise the node is kept running
  --help  this text
`;

const WANTED_PORT = 8080;
const WAIT_LIMIT_MS = 60_000;
const NETWORK = 'container-manager';

/** The whole main job, as a user sees it. Whatever was made is taken away again, however it ends. */
async function demo(steps: Steps, mustExit: boolean): Promise<void> {
  await using cleanUp = new AsyncDisposableStack();
  const docker = new Docker();
  const hadNetwork = await hasNetwork(docker);
  if (mustExit && !hadNetwork) cleanUp.defer(() => docker.getNetwork(NETWORK).remove().catch(ignoreMissing));

  const image = await steps.run('demo image, made of what is on this machine', () => buildDemoImage(docker));
  if (mustExit) cleanUp.defer(() => removeDemoImage(docker).catch(ignoreMissing));

  const port = await freePort(WANTED_PORT);
  const dataDir = mkdtempSync(join(tmpdir(), 'cm-demo-'));
  cleanUp.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const node = new NodeChild(port, dataDir);
  cleanUp.defer(async () => void (await node.stop()));
  await steps.run(
    'node up',
    () => node.whenReady(port),
    () => `http://127.0.0.1:${port}, data in ${dataDir}`,
  );

  const client = new RpcClient({ address: `127.0.0.1:${port}` });
  const leave = new AbortController();
  const statuses = new StatusLines();
  const following = statuses.follow(steps, client, leave.signal);
  try {
    await oneJob(steps, client, statuses, image, port);
  } catch (error) {
    await removeJobs(client);
    throw error;
  } finally {
    leave.abort();
    await following;
  }
  if (mustExit) {
    await steps.run(
      'node down',
      () => node.stop(),
      (code) => `exit code ${code}`,
    );
    return;
  }
  await steps.say(`\nThe node goes on: http://127.0.0.1:${port} (Ctrl-C ends it). In another terminal:\n`);
  await steps.say(`  npm run --silent node -- run --address localhost:${port} --follow \\`);
  await steps.say(`    --entrypoint /node ${image.image} -e 'console.log("hello")'`);
  await steps.say(`  npm run --silent node -- ps --address localhost:${port} --all\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  // The node's data goes with it, and nobody would know whose these containers were.
  await steps.run('jobs removed, with their containers', () => removeJobs(client));
}

async function oneJob(
  steps: Steps,
  client: RpcClient,
  statuses: StatusLines,
  image: DemoImage,
  port: number,
): Promise<void> {
  const params: CreateParams = {
    image: image.image,
    entrypoint: image.entrypoint,
    env: { DEMO_NAME: 'demo' },
    ports: [{ container: image.port }],
    healthcheck: { tcp: image.port },
    resources: { memory: '256m', cpu: 1 },
  };
  await steps.say(`\n${curlOf(port, params)}\n`);
  const { job_id: jobId } = await steps.run(
    'Create',
    () => client.call('ContainerService.Create', params),
    (created) => `${created.message}, job ${created.job_id}`,
  );
  const up = await steps.run(
    'container up',
    () => waitUntil(client, statuses, jobId, 'running'),
    describeContainer,
  );
  const url = `http://127.0.0.1:${up.ports?.[0]?.host}/`;
  await steps.run(
    'container answers',
    async () => (await fetch(url)).text(),
    (text) => `GET ${url} -> ${JSON.stringify(text.trim())}`,
  );
  await steps.run('logs', () => showLogs(steps, client, jobId));
  await steps.run(
    'stop',
    async () => {
      await client.call('ContainerService.Stop', { job_id: jobId });
      return waitUntil(client, statuses, jobId, 'ended');
    },
    (job) => `${job.status}, exit code ${job.exit_code}`,
  );
  await steps.run('removed, with its container', () =>
    client.call('ContainerService.Remove', { job_id: jobId }),
  );
}

/** Whatever the node still has: what somebody tried, or what a demo that failed half-way has left. */
async function removeJobs(client: RpcClient): Promise<void> {
  const { jobs } = await client.call('JobService.List', {});
  for (const job of jobs) {
    await client.call(
      'ContainerService.Remove',
      { job_id: job.job_id, force: true },
      { timeoutMs: WAIT_LIMIT_MS },
    );
  }
}

async function waitUntil(
  client: RpcClient,
  statuses: StatusLines,
  jobId: string,
  until: 'running' | 'ended',
): Promise<JobView> {
  const params = { job_id: jobId, until, timeout_ms: WAIT_LIMIT_MS };
  const job = await client.call('JobService.Wait', params, { timeoutMs: WAIT_LIMIT_MS + 5_000 });
  if (until === 'running' && job.status !== 'running')
    throw new Error(`the job is ${job.status}: ${job.message}`);
  await statuses.shown(job.status);
  return job;
}

/** Shows every change of status as it comes. */
class StatusLines {
  readonly #shown = new Map<string, PromiseWithResolvers<void>>();

  async follow(steps: Steps, client: RpcClient, signal: AbortSignal): Promise<void> {
    for await (const message of client.streamEvents({ signal })) {
      if (message.kind !== 'job') continue;
      await steps.note(`status: ${message.event.type}`);
      this.#entry(message.event.type).resolve();
    }
  }

  /** Resolves when that status has been shown. */
  shown(status: string): Promise<void> {
    return this.#entry(status).promise;
  }

  #entry(status: string): PromiseWithResolvers<void> {
    const entry = this.#shown.get(status) ?? Promise.withResolvers<void>();
    this.#shown.set(status, entry);
    return entry;
  }
}

async function showLogs(steps: Steps, client: RpcClient, jobId: string): Promise<void> {
  for await (const entry of client.streamLogs(jobId)) await steps.note(`${entry.stream}: ${entry.line}`);
}

function describeContainer(job: JobView): string {
  return `${job.container_name}, ${job.address}`;
}

function curlOf(port: number, params: CreateParams): string {
  const body = JSON.stringify({ jsonrpc: '2.0', method: 'ContainerService.Create', params: [params], id: 1 });
  return `$ curl -X POST localhost:${port}/jrpc -H "Content-Type: application/json" -d '${body}'`;
}

async function hasNetwork(docker: Docker): Promise<boolean> {
  const networks = await docker.listNetworks({ filters: { name: [NETWORK] } });
  return networks.some((network) => network.Name === NETWORK);
}

function ignoreMissing(error: unknown): void {
  if ((error as { statusCode?: number }).statusCode !== 404) throw error;
}

const { values } = parseArgs({ options: { exit: { type: 'boolean' }, help: { type: 'boolean' } } });
if (values.help === true) {
  process.stdout.write(HELP);
} else {
  const steps = new Steps();
  try {
    await demo(steps, values.exit === true);
    await steps.say(`Done in ${(steps.elapsedMs / 1000).toFixed(1)} s.`);
  } catch (error) {
    process.stderr.write(`error: ${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}
