import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CreateParams } from '../../../src/api/wire.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { type Member, ProcessCluster, untilEqual } from '../../support/cluster-processes.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli, CliProcess } from '../cli/cli-process.ts';

const PATIENCE_MS = 30_000;
const TALKS =
  'echo first; echo second >&2; trap "echo bye; exit 0" TERM; i=0; while :; do sleep 0.2; i=$((i+1)); echo tick $i; done';

let docker: Docker;
let cleanUp: AsyncDisposableStack;
let one: Member;
let two: Member;
beforeAll(async () => {
  docker = await requireDocker();
  await buildTestImage(docker);
  cleanUp = new AsyncDisposableStack();
  const bundle = cleanUp.use(await DaemonBundle.make());
  const cluster = cleanUp.use(new ProcessCluster({ program: bundle.program }));
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
