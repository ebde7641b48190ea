import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Docker from 'dockerode';
import { RpcClient } from '../src/api/client.ts';
import type { CreateParams, JobView } from '../src/api/wire.ts';
import { messageOf } from '../src/kernel/errors.ts';
import { buildDemoImage, removeDemoImage, type DemoImage } from './demo/image.ts';
import { freePort, NodeChild } from './demo/node-child.ts';
import { Steps } from './demo/steps.ts';

const HELP = `Usage: npm run demo [-- --exit]

Shows the main job live: two nodes that are one cluster, a container made from a curl to the one, and its status, its logs
and its end by way of the other.

Options:
  --exit  ends the nodes at the end and leaves nothing behind; otherwise they are kept running
  --help  this text
`;

const WANTED_PORTS = [8080, 8081] as const;
const WANTED_P2P_PORTS = [4001, 4002] as const;
const WAIT_LIMIT_MS = 60_000;
const POLL_MS = 25;
const NETWORK = 'container-manager';

/** The whole main job, as a user sees it. Whatever was made is taken away again, however it ends. */
async function demo(steps: Steps, mustExit: boolean): Promise<void> {
  await using cleanUp = new AsyncDisposableStack();
  const docker = new Docker();
  const hadNetwork = await hasNetwork(docker);
  if (mustExit && !hadNetwork) cleanUp.defer(() => docker.getNetwork(NETWORK).remove().catch(ignoreMissing));

  const image = await steps.run('demo image, made of what is on this machine', () => buildDemoImage(docker));
  if (mustExit) cleanUp.defer(() => removeDemoImage(docker).catch(ignoreMissing));

  const first = await startNode(steps, cleanUp, 0);
  const token = await first.token();
  const second = await startNode(steps, cleanUp, 1, token);
  const clients = [first, second].map(({ port }) => new RpcClient({ address: `127.0.0.1:${port}` }));
  const [client, other] = clients as [RpcClient, RpcClient];
  await steps.run('connected: each knows the jobs of the other', () => untilConnected(other));

  const leave = new AbortController();
  const statuses = new StatusLines();
  const following = statuses.follow(steps, other, leave.signal);
  try {
    await oneJob(steps, { client, other, statuses, image, port: first.port });
  } catch (error) {
    for (const each of clients) await removeJobs(each);
    throw error;
  } finally {
    leave.abort();
    await following;
  }
  if (mustExit) {
    for (const node of [second, first]) {
      await steps.run(
        `node ${node.port} down`,
        () => node.stop(),
        (code) => `exit code ${code}`,
      );
    }
    return;
  }
  const [here, there] = [first.port, second.port];
  await steps.say(
    `\nThe nodes go on: http://127.0.0.1:${here} and ${there} (Ctrl-C ends them). In another terminal:\n`,
  );
  await steps.say(`  npm run --silent node -- run --address localhost:${here} --follow \\`);
  await steps.say(`    --entrypoint /node ${image.image} -e 'console.log("hello")'`);
  await steps.say(`  npm run --silent node -- ps --address localhost:${there} --all --all-nodes`);
  await steps.say(`  npm run --silent node -- peers --address localhost:${there}\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  // The nodes' data goes with them, and nobody would know whose these containers were.
  await steps.run('jobs removed, with their containers', async () => {
    for (const each of clients) await removeJobs(each);
  });
}

async function startNode(
  steps: Steps,
  cleanUp: AsyncDisposableStack,
  place: 0 | 1,
  token?: string,
): Promise<NodeChild> {
  const port = await freePort(WANTED_PORTS[place]);
  const p2pPort = await freePort(WANTED_P2P_PORTS[place]);
  const dataDir = mkdtempSync(join(tmpdir(), 'cm-demo-'));
  cleanUp.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const node = new NodeChild({ port, p2pPort, dataDir, ...(token !== undefined && { token }) });
  cleanUp.defer(async () => void (await node.stop()));
  await steps.run(
    token === undefined ? 'node up' : 'second node up, with a token of the first',
    () => node.whenReady(),
    () => `http://127.0.0.1:${port}, data in ${dataDir}`,
  );
  return node;
}

/** Each node tells its peers of its jobs as soon as they are connected. */
async function untilConnected(client: RpcClient): Promise<void> {
  for (
    const startedMs = performance.now();
    performance.now() - startedMs < WAIT_LIMIT_MS;
    await delay(POLL_MS)
  ) {
    const { peers } = await client.call('PeerService.List', {});
    if (peers.some(({ status, heard_age_ms }) => status === 'connected' && heard_age_ms !== undefined))
      return;
  }
  throw new Error('the two nodes did not connect');
}

interface Scene {
  readonly client: RpcClient;
  /** Of the node that does not run the job. */
  readonly other: RpcClient;
  readonly statuses: StatusLines;
  readonly image: DemoImage;
  readonly port: number;
}

/** Created on one node; everything after that by way of the other. */
async function oneJob(steps: Steps, { client, other, statuses, image, port }: Scene): Promise<void> {
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
  await steps.run(
    'Status, asked on the other node',
    () => other.call('ContainerService.Status', { job_id: jobId }),
    ({ status }) => status,
  );
  const up = await steps.run(
    'container up',
    () => waitUntil(other, statuses, jobId, 'running'),
    describeContainer,
  );
  const url = `http://127.0.0.1:${up.ports?.[0]?.host}/`;
  await steps.run(
    'container answers',
    async () => (await fetch(url)).text(),
    (text) => `GET ${url} -> ${JSON.stringify(text.trim())}`,
  );
  await steps.run('logs, read on the other node', () => showLogs(steps, other, jobId));
  await steps.run(
    'stop, asked for on the other node',
    async () => {
      await other.call('ContainerService.Stop', { job_id: jobId });
      return waitUntil(other, statuses, jobId, 'ended');
    },
    (job) => `${job.status}, exit code ${job.exit_code}`,
  );
  await steps.run('removed, with its container', () =>
    other.call('ContainerService.Remove', { job_id: jobId }),
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
    for await (const message of client.streamEvents({ signal, allNodes: true })) {
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
