import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { PULL_ALL } from '../../support/sync-requests.ts';
import { loadIdentity } from '../../../src/peers/identity.ts';
import { encodeRequest, SYNC_PROTOCOL } from '../../../src/peers/replication/sync-messages.ts';
import {
  connectedWith,
  listJobs,
  type Member,
  ProcessCluster,
  untilEqual,
} from '../../support/cluster-processes.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { frames, HostilePeer } from '../../support/hostile-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli, CliProcess } from '../cli/cli-process.ts';

const PATIENCE_MS = 30_000;
const TALKS =
  'echo first; echo second >&2; trap "echo bye; exit 0" TERM; i=0; while :; do sleep 0.2; i=$((i+1)); echo tick $i; done';

let docker: Docker;
let cleanUp: AsyncDisposableStack;
let cluster: ProcessCluster;
let one: Member;
let two: Member;
beforeAll(async () => {
  docker = await requireDocker();
  await buildTestImage(docker);
  cleanUp = new AsyncDisposableStack();
  const bundle = cleanUp.use(await DaemonBundle.make());
  cluster = cleanUp.use(new ProcessCluster({ program: bundle.program }));
  [one, two] = (await cluster.start(2)) as [Member, Member];
});
afterAll(() => cleanUp.disposeAsync());

function spec(script: string): CreateParams {
  return { image: TEST_IMAGE, arguments: ['sh', '-c', script], network: 'none' };
}

/** Of a job, on the whole engine, whichever node made it. */
async function containersOf(jobId: string): Promise<Docker.ContainerInfo[]> {
  return docker.listContainers({ all: true, filters: { label: [`container-manager.job=${jobId}`] } });
}

test('a container is read, followed, waited for, stopped and removed from the node that does not run it', async () => {
  const { job_id } = await one.rpc('ContainerService.Create', spec(TALKS));
  expect(await two.rpc('JobService.Wait', { job_id, until: 'running' })).toMatchObject({
    status: 'running',
    owner: one.id,
  });
  expect(await containersOf(job_id)).toHaveLength(1);
  await waitFor('its first lines', PATIENCE_MS, async () => {
    const { entries } = await two.rpc('ContainerService.Logs', { job_id });
    const lines = new Set(entries.map(({ stream, line }) => `${stream} ${line}`));
    return lines.has('stdout first') && lines.has('stderr second');
  });
  await using following = new CliProcess(['logs', '--follow', job_id], { port: two.home.port });
  await waitFor('what it says later', PATIENCE_MS, () => /tick \d+\n.*tick \d+\n/s.test(following.stdout));
  const { stats } = await two.rpc('ContainerService.Stats', { job_id });
  expect(stats).toMatchObject([{ job_id }]);
  const waiting = two.rpc('JobService.Wait', { job_id, timeout_ms: PATIENCE_MS });
  expect(await two.rpc('ContainerService.Stop', { job_id, wait_ms: PATIENCE_MS })).toMatchObject({
    status: 'complete',
  });
  expect(await waiting).toMatchObject({ status: 'complete', exit_code: 0 });
  expect((await following.result).code).toBe(0);
  expect(following.stdout).toContain('bye');
  await untilEqual([one, two], PATIENCE_MS);
  expect(await containersOf(job_id)).toMatchObject([{ State: 'exited' }]);
  expect((await cli(['rm', job_id], { port: two.home.port })).code).toBe(0);
  await waitFor('its container to go', PATIENCE_MS, async () => (await containersOf(job_id)).length === 0);
  await untilEqual([one, two], PATIENCE_MS);
  for (const member of [one, two])
    await expect(member.rpc('ContainerService.Status', { job_id })).rejects.toMatchObject({
      reason: 'not_found',
    });
});

test('a job is cancelled from the other node before it runs, and no container comes of it', async () => {
  await one.rpc('QueueService.Pause', {});
  const { job_id } = await one.rpc('ContainerService.Create', spec('exit 0'));
  expect(await two.rpc('JobService.Cancel', { job_id })).toMatchObject({ status: 'cancelled' });
  await one.rpc('QueueService.Resume', {});
  await untilEqual([one, two], PATIENCE_MS);
  expect(await two.rpc('ContainerService.Status', { job_id })).toEqual({ job_id, status: 'cancelled' });
  expect(await containersOf(job_id)).toEqual([]);
});

test('an owner that dies and comes back has one container as ever, and the other node says the same throughout', async () => {
  const { job_id } = await one.rpc('ContainerService.Create', spec(TALKS));
  await two.rpc('JobService.Wait', { job_id, until: 'running' });
  const [before] = await containersOf(job_id);
  await untilEqual([one, two], PATIENCE_MS);
  await one.node.kill();
  expect(await two.rpc('ContainerService.Status', { job_id })).toEqual({ job_id, status: 'running' });
  await expect(two.rpc('ContainerService.Stop', { job_id })).rejects.toMatchObject({
    reason: 'peer_unreachable',
  });
  await one.start();
  await untilEqual([one, two], PATIENCE_MS);
  expect(await containersOf(job_id)).toMatchObject([{ Id: before?.Id, State: 'running' }]);
  await waitFor('its owner to be reached', PATIENCE_MS, async () =>
    two.rpc('ContainerService.Stop', { job_id, wait_ms: PATIENCE_MS }).then(
      ({ status }) => status === 'complete',
      (error: { reason?: string }) => {
        if (error.reason !== 'peer_unreachable') throw error as Error;
        return false;
      },
    ),
  );
});

test('an image that is not there fails the job, with the same words on both nodes', async () => {
  const { job_id } = await one.rpc('ContainerService.Create', {
    ...spec('exit 0'),
    image: 'container-manager-test:never',
    pull: 'never',
  });
  expect(await two.rpc('JobService.Wait', { job_id })).toMatchObject({ status: 'failed' });
  await untilEqual([one, two], PATIENCE_MS);
  const told = await Promise.all([one, two].map((member) => member.rpc('JobService.Get', { job_id })));
  expect(told[0]?.message).toBe(told[1]?.message);
  expect(told[0]?.reason).toBe(told[1]?.reason);
  expect(told[1]?.message).not.toBe('');
});

/** Every form in which a secret might be written by accident. */
function formsOf(secret: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret);
  // The last characters of base64 depend on what follows.
  const base64 = bytes.toString('base64').replace(/=+$/, '').slice(0, -2);
  return [
    bytes,
    ...[base64, base64.replaceAll('+', '-').replaceAll('/', '_'), bytes.toString('hex')].map((text) =>
      Buffer.from(text),
    ),
  ];
}

/** All that a member is given when it asks a node for everything. */
async function pulled(peer: HostilePeer, from: Member): Promise<Uint8Array[]> {
  const connection = await peer.dial(from.address);
  await peer.join(connection);
  await waitFor('it to be admitted', PATIENCE_MS, async () => (await connectedWith(from)).has(peer.id));
  const stream = frames(await peer.open(connection, SYNC_PROTOCOL.id));
  await stream.write(encodeRequest(PULL_ALL));
  await stream.end();
  const received: Uint8Array[] = [];
  for (let frame = await stream.read(); frame !== undefined; frame = await stream.read())
    received.push(frame);
  return received;
}

test('secrets of one node are in nothing that another one has or says, nor in what members hear', async () => {
  const secret = (kind: string): string => `canary-${kind}-${randomBytes(16).toString('hex')}`;
  const [env, token, password] = [secret('env'), secret('token'), secret('password')];
  const keeper = await cluster.add({
    settings: {
      log_level: 'trace',
      'auth.tokens': `ci:full:${token}`,
      'policy.registries': '127.0.0.1:1, docker.io',
    },
  });
  const dockerConfig = join(keeper.home.directory, '.docker');
  mkdirSync(dockerConfig, { recursive: true });
  const auth = Buffer.from(`tester:${password}`).toString('base64');
  writeFileSync(join(dockerConfig, 'config.json'), JSON.stringify({ auths: { '127.0.0.1:1': { auth } } }));
  await keeper.start();
  await using listener = await HostilePeer.start({ clusterKey: cluster.key });
  await pulled(listener, keeper);

  const base = { ...spec('exit 3'), env: { PASSWORD: env } };
  const failed = await keeper.rpc('ContainerService.Create', base);
  const unpulled = await keeper.rpc('ContainerService.Create', { ...base, image: '127.0.0.1:1/never:1' });
  const keyed = await keeper.rpc('ContainerService.Create', { ...base, idempotency_key: secret('key') });
  for (const { job_id } of [failed, unpulled, keyed])
    expect(await two.rpc('JobService.Wait', { job_id, timeout_ms: PATIENCE_MS })).toMatchObject({
      status: 'failed',
    });
  await untilEqual([one, two, keeper], PATIENCE_MS);
  const { node_id } = await keeper.rpc('PeerService.Identity', {});
  const told = [
    JSON.stringify(await listJobs(two.home.port, { all_nodes: true, owner: node_id })),
    (await two.node.get('/metrics')).text,
    JSON.stringify(await two.rpc('PeerService.List', {})),
  ];
  for (const { job_id } of [failed, unpulled, keyed])
    told.push(
      JSON.stringify(await two.rpc('JobService.Get', { job_id })),
      JSON.stringify(await two.rpc('JobService.History', { job_id })),
    );
  const files = readdirSync(two.home.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
  const places: Readonly<Record<string, Buffer>> = {
    'what another node answers': Buffer.from(told.join('\n')),
    'what another node has on its disk': Buffer.concat(files),
    'what another node logs': Buffer.from(two.home.log()),
    'what its owner logs': Buffer.from(keeper.home.log()),
    'what members hear': Buffer.concat(listener.heard),
    'what members are given': Buffer.concat(await pulled(listener, keeper)),
  };
  // It is looked for where the jobs themselves are.
  for (const [place, bytes] of Object.entries(places))
    if (!place.endsWith('logs')) expect(bytes.includes(unpulled.job_id), `the job in ${place}`).toBe(true);
  const secrets = {
    env,
    token,
    password,
    auth,
    key: cluster.key,
    seed: loadIdentity(keeper.home.identityFile).seed,
  };
  const hits = Object.entries(secrets).flatMap(([name, value]) =>
    Object.entries(places)
      .filter(([, bytes]) => formsOf(value).some((form) => bytes.includes(form)))
      .map(([place]) => `${name} in ${place}`),
  );
  expect(hits).toEqual([]);
});
