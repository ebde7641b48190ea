import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEventView } from '../../../src/api/wire.ts';
import { buildTestImage, importImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';
import { TestRegistry } from '../../support/registry.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli, CliProcess, type CliResult } from './cli-process.ts';

const WAIT_MS = 40_000;
/** Ends at once when it is asked to. */
const PATIENT = ['sh', '-c', 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'];

let home: NodeHome;
let node: NodeProcess;
let testRegistry: TestRegistry;
let image: string;

beforeAll(async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  testRegistry = await TestRegistry.start(docker);
  image = await testRegistry.push('cli-pull', (engine, reference) =>
    importImage(engine, reference, Buffer.alloc(1_000_000, 'x')),
  );
  home = await NodeHome.create({
    settings: {
      'policy.registries': `docker.io,${testRegistry.address}`,
      queue_size: 50,
      'peers.enabled': 'true',
    },
  });
  node = await home.start();
});
afterAll(async () => {
  await home?.[Symbol.asyncDispose]();
  await testRegistry?.[Symbol.asyncDispose]();
});

const call = (...args: string[]): Promise<CliResult> => cli(args, { port: node.port });
const begin = (...args: string[]): CliProcess => new CliProcess(args, { port: node.port });

/** The id that a `run` printed. */
async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await call('run', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/);
  return stdout.trim();
}

describe('run --follow', () => {
  it('keeps the outputs of the container apart, tells the status on stderr, and ends with its exit code', async () => {
    const result = await call('run', '--follow', TEST_IMAGE, 'sh', '-c', 'echo out; echo err >&2; exit 42');
    expect(result).toMatchObject({ code: 42, stdout: 'out\n' });
    const [job, ...lines] = result.stderr.trimEnd().split('\n');
    expect(job).toMatch(/^job [0-9a-f-]{36}$/);
    expect(lines.filter((line) => line === 'err')).toHaveLength(1);
    const statuses = lines.flatMap((line) => /^\d\d:\d\d:\d\d\.\d{3} {2}(\w+)/.exec(line)?.[1] ?? []);
    expect(statuses).toEqual(['pending', 'starting', 'running', 'failed']);
    // The last words of the container come before the end of its job.
    expect(lines.at(-1)).toMatch(/failed {5}the container exited with code 42$/);
  });

  it('is 0 for a job that is complete, and pulls what is missing', async () => {
    const result = await call('run', '--follow', image, 'echo', 'pulled');
    expect(result).toMatchObject({ code: 0, stdout: 'pulled\n' });
    expect(result.stderr).toMatch(/ pulling\n.* starting\n/);
    expect(result.stderr).not.toContain('\u001b');
  });

  it('is 1 for a job that cannot be deployed, and says why', async () => {
    const result = await call('run', '--follow', `${testRegistry.address}/no-such:1`);
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/ failed .*no-such/);
  });

  it('shows what a container wrote that never became ready', async () => {
    const result = await call(
      'run',
      '--follow',
      '--health-tcp',
      '81',
      TEST_IMAGE,
      'sh',
      '-c',
      'echo my last words; exit 3',
    );
    expect(result.code).not.toBe(0);
    expect(result.stdout + result.stderr).toContain('my last words');
  });

  it('shows the output of every restart once', async () => {
    const script = 'echo again; echo and again >&2; exit 4';
    const result = await call('run', '--follow', '--restart', 'on-failure:2', TEST_IMAGE, 'sh', '-c', script);
    expect(result).toMatchObject({ code: 4, stdout: 'again\n'.repeat(3) });
    expect(result.stderr.match(/^and again$/gm)).toHaveLength(3);
  });

  it('stops the job at the first Ctrl-C, and shows it to its end', async () => {
    await using child = begin('run', '--follow', TEST_IMAGE, ...PATIENT);
    await waitFor('the container to be up', WAIT_MS, () => child.stdout === 'up\n');
    child.signal('SIGINT');
    const result = await child.result;
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /stopping the job; Ctrl-C again leaves it to the node\n.* stopping.*\n.* complete/,
    );
  });

  it('leaves the job to the node at the second Ctrl-C', async () => {
    const stubborn = ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done'];
    await using child = begin('run', '--follow', '--stop-timeout', '60s', TEST_IMAGE, ...stubborn);
    await waitFor('the container to be up', WAIT_MS, () => child.stdout === 'up\n');
    child.signal('SIGINT');
    await waitFor('the job to be stopping', WAIT_MS, () => / stopping$/m.test(child.stderr));
    child.signal('SIGINT');
    const { code, stderr } = await child.result;
    expect(code).toBe(130);
    const [, id = ''] = /it is stopped with: container-manager stop (\S+)\n$/.exec(stderr) ?? [];
    expect(await node.rpc('ContainerService.Status', { job_id: id })).toMatchObject({ status: 'stopping' });
    expect(await call('rm', '--force', id)).toMatchObject({ code: 0 });
  });

  it('leaves the job running when it is asked to end itself', async () => {
    await using child = begin('run', '--follow', TEST_IMAGE, ...PATIENT);
    await waitFor('the container to be up', WAIT_MS, () => child.stdout === 'up\n');
    child.signal('SIGTERM');
    const { code, stderr } = await child.result;
    expect(code).toBe(143);
    const [, id = ''] = /container-manager stop (\S+)\n$/.exec(stderr) ?? [];
    expect(await node.rpc('ContainerService.Status', { job_id: id })).toMatchObject({ status: 'running' });
    expect(await call('stop', id)).toMatchObject({ code: 0, stdout: `${id}  complete\n` });
  });
});

describe('the life of a job', () => {
  it('can be followed command by command, by a beginning of its id', async () => {
    const id = await run(
      '--wait',
      '--name',
      'life',
      '-e',
      'SECRET=hidden-value',
      '-p',
      '8000',
      TEST_IMAGE,
      ...PATIENT,
    );
    const short = (await call('ps', '--name', 'life')).stdout.split('\n')[1]?.split(' ')[0] ?? '';
    expect(id.startsWith(short)).toBe(true);
    expect((await call('ps')).stdout).toMatch(
      new RegExp(`^${short} +running +life +${TEST_IMAGE} .*->8000/tcp$`, 'm'),
    );

    const status = await call('status', short);
    expect(status.stdout).toMatch(new RegExp(`^Job +${id}\nName +life\nStatus +running\n`));
    expect(status.stdout).toMatch(/pending\n.*starting\n.*running\n$/);
    const inspected = await call('inspect', short);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ job_id: id, spec: { env: { SECRET: '***' } } });
    expect(inspected.stdout).not.toContain('hidden-value');

    expect(await call('logs', short)).toEqual({ code: 0, stdout: 'up\n', stderr: '' });
    expect((await call('stats', '--no-stream', short)).stdout).toMatch(
      /JOB +NAME +CPU.*\n.*life.* \/ 64\.0M/,
    );
    expect(await call('cancel', short)).toMatchObject({ code: 1 });
    expect(await call('wait', '--timeout', '200ms', short)).toMatchObject({ code: 5, stdout: '' });
    expect(await call('wait', '--until', 'running', short)).toMatchObject({ code: 0, stdout: 'running\n' });
    expect(await call('stop', short)).toMatchObject({ code: 0, stdout: `${id}  complete\n` });
    expect(await call('wait', short)).toMatchObject({ code: 0, stdout: 'complete\n' });
    expect(await call('rm', short)).toMatchObject({ code: 0, stdout: `${id}  removed\n` });
    expect(await call('status', id)).toMatchObject({ code: 3 });
  });

  it('says which jobs a beginning may mean', async () => {
    const ids = [await run(TEST_IMAGE, 'true'), await run(TEST_IMAGE, 'true')];
    const result = await call('status', ids[0]?.slice(0, 4) ?? '');
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(
      /^error: .* is the beginning of several jobs' ids:\n {2}[0-9a-f-]{36} {2}\w+/,
    );
    expect(result.stderr).toMatch(/\nnext: give more characters of the id\n$/);
  });

  it('is one job when it is sent twice with a key', async () => {
    const args = ['--idempotency-key', 'cli-key', TEST_IMAGE, 'true'];
    expect(await run(...args)).toBe(await run(...args));
  });

  it('waits for a place while the queue is paused, and is cancelled there', async () => {
    expect((await call('queue', 'pause')).stdout).toMatch(/^Queue +paused$/m);
    const id = await run(TEST_IMAGE, 'true');
    expect((await call('queue')).stdout).toMatch(/^Waiting +1 of 50$/m);
    expect(await call('cancel', id)).toMatchObject({ code: 0, stdout: `${id}  cancelled\n` });
    expect(await call('wait', id)).toMatchObject({ code: 1, stdout: 'cancelled\n' });
    expect((await call('queue', 'resume', '-o', 'json')).stdout).toContain('"paused": false');
  });
});

describe('streams', () => {
  it('logs -f prints lines as they come, and ends with the container', async () => {
    const script = 'for i in 1 2 3; do echo line $i; sleep 0.2; done; echo end >&2';
    const id = await run('--wait', TEST_IMAGE, 'sh', '-c', script);
    await using child = begin('logs', '-f', id);
    expect(await child.result).toEqual({ code: 0, stdout: 'line 1\nline 2\nline 3\n', stderr: 'end\n' });
    expect((await call('logs', '--tail', '1', '--timestamps', id)).stderr).toMatch(
      /^\d{4}-\d\d-\d\dT\S+Z end\n$/,
    );
    const lines = (await call('logs', '-o', 'ndjson', id)).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toContainEqual({
      stream: 'stdout',
      line: 'line 2',
    });
  });

  it('a reader of logs that has enough ends them', async () => {
    const id = await run('--wait', TEST_IMAGE, 'sh', '-c', 'while :; do echo more; done');
    await using child = begin('logs', '-f', id);
    await waitFor('some output', WAIT_MS, () => child.stdout.length > 0);
    child.closeStdout();
    expect(await child.result).toMatchObject({ code: 0, stderr: '' });
    expect(await call('rm', '--force', id)).toMatchObject({ code: 0 });
  });

  it('events -f goes on after the event it is told', async () => {
    const id = await run(TEST_IMAGE, 'true');
    await call('wait', id);
    const { stdout } = await call('events', id, '-o', 'ndjson');
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as JobEventView);
    expect(events.map(({ type }) => type)).toEqual(['pending', 'starting', 'running', 'complete']);
    await using child = begin('events', '--follow', '--since-id', events[1]?.id ?? '', id);
    await waitFor('the events after that', WAIT_MS, () => child.stdout.split('\n').length === 3);
    expect(child.stdout).toMatch(new RegExp(`${id} {2}running .*\n.*${id} {2}complete .*\n$`));
  });

  it('events -f survives a restart of the node', async () => {
    await using child = begin('events', '--follow', '-o', 'ndjson');
    const before = await run(TEST_IMAGE, 'true');
    await waitFor(
      'an event',
      WAIT_MS,
      () => child.stdout.includes(before) && child.stdout.includes('complete'),
    );
    await node.stop();
    node = await home.start();
    const after = await run(TEST_IMAGE, 'true');
    await waitFor('an event of the new life', WAIT_MS, () => child.stdout.includes(after));
  });
});

describe('doctor', () => {
  it('finds a node that answers, and says what is wrong when there is none', async () => {
    const env = { CONTAINER_MANAGER_DATA_DIR: home.dataDir, CONTAINER_MANAGER_PORT: String(home.port) };
    const well = await cli(['doctor'], { port: node.port, env });
    expect(well.stdout).toMatch(/^ok {4}Docker Engine: .*API 1\.\d+/m);
    expect(well.stdout).toMatch(/^ok {4}node: .* answers at/m);
    expect(well.stdout).toMatch(/^ok {4}peers: none/m);
    expect(well.code).toBe(0);
    const ill = {
      ...env,
      CONTAINER_MANAGER_DOCKER_HOST: 'unix:///no/such.sock',
      CONTAINER_MANAGER_DATA_DIR: '/dev/null',
    };
    const found = await cli(['doctor', '-o', 'json'], { port: node.port, env: ill });
    expect(found.code).toBe(1);
    const findings = JSON.parse(found.stdout) as { name: string; verdict: string; remedy?: string }[];
    const failed = findings.filter(({ verdict }) => verdict === 'fail');
    expect(failed.map(({ name }) => name)).toEqual(['data directory', 'Docker Engine']);
    expect(failed.every(({ remedy }) => remedy !== undefined)).toBe(true);
  });
});
