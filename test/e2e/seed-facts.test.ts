import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CreateParams } from '../../src/api/wire.ts';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../support/docker.ts';
import { type HttpReply, NodeHome, type NodeProcess } from '../support/node-process.ts';
import { PATIENCE } from '../support/patience.ts';

const run = promisify(execFile);

/** The image of the first example there ever was; here it sleeps. */
const EXAMPLE_IMAGE = 'nginx:latest';
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WORKERS = 5;

let docker: Docker;
let home: NodeHome;
let node: NodeProcess;
let hadExampleImage = false;

beforeAll(async () => {
  docker = await requireDocker();
  await buildTestImage(docker);
  hadExampleImage = await makeExampleImage();
  home = await NodeHome.create({
    settings: {
      worker_count: WORKERS,
      'policy.registries': '127.0.0.1:1,docker.io',
      'peers.enabled': 'true',
    },
  });
  node = await home.start();
});

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  if (!hadExampleImage) await docker.getImage(EXAMPLE_IMAGE).remove({ force: true });
});

/** Whether it was there already; then it is left as it is. */
async function makeExampleImage(): Promise<boolean> {
  const isThere = await docker
    .getImage(EXAMPLE_IMAGE)
    .inspect()
    .then(
      () => true,
      () => false,
    );
  if (isThere) return true;
  const container = await docker.createContainer({ Image: TEST_IMAGE, Cmd: ['true'] });
  const [repo, tag] = EXAMPLE_IMAGE.split(':');
  await container.commit({ repo, tag, changes: 'CMD ["sleep", "600"]' });
  await container.remove();
  return false;
}

/** The first protocol: no `jsonrpc`. */
function legacy(method: unknown, params?: unknown, id: unknown = 1): Promise<HttpReply> {
  return node.post('/jrpc', JSON.stringify({ method, params, id }));
}

function modern(method: string, params: unknown, id: unknown = 1): Promise<HttpReply> {
  return node.post('/jrpc', JSON.stringify({ jsonrpc: '2.0', method, params, id }));
}

function json(reply: HttpReply): Record<string, unknown> {
  return JSON.parse(reply.text) as Record<string, unknown>;
}

async function expectLegacyError(reply: Promise<HttpReply>, error: string, id: unknown = 1): Promise<void> {
  const { status, text } = await reply;
  expect({ status, body: JSON.parse(text) as unknown }).toEqual({
    status: 400,
    body: { result: null, error, id },
  });
}

async function create(spec: Partial<CreateParams>): Promise<string> {
  const params = { image: TEST_IMAGE, network: 'none', ...spec };
  return (await node.rpc('ContainerService.Create', params)).job_id;
}

async function containersOf(jobId: string): Promise<Docker.ContainerInfo[]> {
  return docker.listContainers({ all: true, filters: { label: [`container-manager.job=${jobId}`] } });
}

const EXAMPLE_BODY = `{
    "jsonrpc": "2.0",
    "method": "ContainerService.Create",
    "params": [{
        "image": "nginx",
        "arguments": [],
        "resources": {},
        "env": {}
    }],
    "id": 1
}`;

describe('what clients of the first container manager rely on', () => {
  test('1. the Create of the first README, by curl, to the letter', async () => {
    const curl = (body: string) =>
      run('curl', [
        ...['-s', '-w', '\n%{http_code} %{content_type}', '-X', 'POST', `localhost:${node.port}/jrpc`],
        ...['-H', 'Content-Type: application/json', '-d', body],
      ]);
    const [body = '', head] = (await curl(EXAMPLE_BODY)).stdout.split('\n');
    expect(head).toBe('200 application/json; charset=utf-8');
    const reply = JSON.parse(body) as { result: { job_id: string } };
    expect(reply).toEqual({
      jsonrpc: '2.0',
      result: { job_id: expect.stringMatching(UUID) as string, message: 'Job created successfully' },
      id: 1,
    });
    const running = await node.rpc('JobService.Wait', { job_id: reply.result.job_id, until: 'running' });
    expect(running).toMatchObject({ status: 'running', image: 'nginx' });
    await node.rpc('ContainerService.Remove', { job_id: reply.result.job_id, force: true });

    const [oldBody = '', oldHead] = (await curl(EXAMPLE_BODY.replace('"jsonrpc": "2.0",', ''))).stdout.split(
      '\n',
    );
    expect(oldHead).toBe('200 application/json; charset=utf-8');
    const old = JSON.parse(oldBody) as { result: { job_id: string } };
    expect(old).toEqual({
      result: { job_id: expect.stringMatching(UUID) as string, message: 'Job created successfully' },
      error: null,
      id: 1,
    });
    await node.rpc('ContainerService.Remove', { job_id: old.result.job_id, force: true });
  });

  test('2. Status: pending at once, complete once it has exited 0, failed when it could not run', async () => {
    await node.rpc('QueueService.Pause', {});
    const job_id = await create({ arguments: ['true'] });
    const bad = await create({ arguments: ['no-such-command'] });
    const pending = await legacy('ContainerService.Status', [{ job_id }]);
    expect(json(pending)).toEqual({ result: { job_id, status: 'pending' }, error: null, id: 1 });
    await node.rpc('QueueService.Resume', {});
    await node.rpc('JobService.Wait', { job_id });
    await node.rpc('JobService.Wait', { job_id: bad });
    const complete = await legacy('ContainerService.Status', [{ job_id }]);
    expect(json(complete)).toEqual({ result: { job_id, status: 'complete' }, error: null, id: 1 });
    const failed = await modern('ContainerService.Status', [{ job_id: bad }]);
    expect(json(failed)).toEqual({ jsonrpc: '2.0', result: { job_id: bad, status: 'failed' }, id: 1 });
  });

  test('3. Create {}: image is required', async () => {
    await expectLegacyError(legacy('ContainerService.Create', [{}]), 'invalid request: image is required');
    const reply = await modern('ContainerService.Create', [{}]);
    expect(reply.status).toBe(200);
    expect(json(reply)).toMatchObject({ error: { code: -32602, data: { reason: 'invalid_params' } }, id: 1 });
    expect(reply.text).toContain('image');
  });

  test('4. Status of an unknown id: job not found', async () => {
    const job_id = '2c1581c9-1d82-11ef-aa1b-0242ac160003';
    await expectLegacyError(legacy('ContainerService.Status', [{ job_id }]), 'job not found');
    const reply = await modern('ContainerService.Status', [{ job_id }]);
    expect(json(reply)).toMatchObject({ error: { code: -32001, message: expect.any(String) as string } });
  });

  test('5. unknown methods, missing and wrong params, bad JSON, GET and a wrong content type', async () => {
    await expectLegacyError(legacy('Foo.Nope', [{}]), 'rpc: can\'t find service "Foo.Nope"');
    await expectLegacyError(
      legacy('ContainerService.Nope', [{}]),
      'rpc: can\'t find method "ContainerService.Nope"',
    );
    await expectLegacyError(legacy('Create', [{}]), 'rpc: service/method request ill-formed: "Create"');
    await expectLegacyError(
      legacy('ContainerService.Create'),
      'rpc: method request ill-formed: missing params field',
    );
    await expectLegacyError(
      legacy('ContainerService.Create', { image: 'nginx' }),
      'json: cannot unmarshal object into Go value of type [1]interface {}',
    );
    const broken = await node.post('/jrpc', '{"method": "ContainerService.Create", "params"');
    expect(json(broken)).toMatchObject({ error: { code: -32700 }, id: null });
    const get = await node.get('/jrpc');
    expect(get.status).toBe(405);
    expect(get.text).toContain('POST');
    const text = await node.post('/jrpc', EXAMPLE_BODY, { 'content-type': 'text/plain' });
    expect(text.status).toBe(415);
    expect(text.text).toContain('text/plain');
    const modernly = await modern('ContainerService.Nope', [{}]);
    expect(json(modernly)).toMatchObject({ jsonrpc: '2.0', error: { code: -32601 }, id: 1 });
  });

  test('6. a notification: 200 without a body, and the job is made all the same', async () => {
    const name = `notified-${process.pid}`;
    const params = [{ image: TEST_IMAGE, arguments: ['true'], name, network: 'none' }];
    const old = await node.post('/jrpc', JSON.stringify({ method: 'ContainerService.Create', params }));
    expect([old.status, old.text]).toEqual([200, '']);
    const body = { jsonrpc: '2.0', method: 'ContainerService.Create', params };
    const fresh = await node.post('/jrpc', JSON.stringify(body));
    expect([fresh.status, fresh.text]).toEqual([204, '']);
    await expect
      .poll(async () => (await node.rpc('JobService.List', { name })).jobs.length, PATIENCE)
      .toBe(2);
    for (const { job_id } of (await node.rpc('JobService.List', { name })).jobs) {
      expect(await node.rpc('JobService.Wait', { job_id })).toMatchObject({ status: 'complete' });
    }
  });

  test('7. a queue of one and a worker that is busy: the third Create is refused', async () => {
    await using small = await NodeHome.create({ settings: { queue_size: 1, worker_count: 1 } });
    const other = await small.start();
    // Never ready, so that the worker is held.
    const spec = { image: TEST_IMAGE, arguments: ['sleep', '600'], healthcheck: { tcp: 9 } };
    const first = await other.rpc('ContainerService.Create', spec);
    await expect.poll(async () => (await other.rpc('QueueService.Stats', {})).working, PATIENCE).toBe(1);
    await other.rpc('ContainerService.Create', spec);
    const body = { method: 'ContainerService.Create', params: [spec], id: 7 };
    const old = await other.post('/jrpc', JSON.stringify(body));
    expect([old.status, json(old)]).toEqual([
      400,
      { result: null, error: 'failed to enqueue job: job queue is full', id: 7 },
    ]);
    const fresh = json(await other.post('/jrpc', JSON.stringify({ jsonrpc: '2.0', ...body })));
    expect(fresh).toMatchObject({
      error: {
        code: -32010,
        data: { reason: 'queue_full', retryable: true, details: { limit: 1, depth: 1 } },
      },
    });
    const { jobs } = await other.rpc('JobService.List', {});
    expect(jobs).toHaveLength(2);
    expect(jobs.at(-1)?.job_id).toBe(first.job_id);
  });

  test('11. a pull that fails: failed after as many attempts as were asked for; an attempt takes its container along', async () => {
    const retry = { attempts: 3, backoff: '20ms' };
    const unreachable = await create({ image: '127.0.0.1:1/nothing/here:1', retry });
    expect(await node.rpc('JobService.Wait', { job_id: unreachable })).toMatchObject({
      status: 'failed',
      attempt: 3,
    });
    expect(await containersOf(unreachable)).toEqual([]);

    const dies = {
      arguments: ['sh', '-c', 'exit 3'],
      healthcheck: { tcp: 9 },
      retry: { ...retry, attempts: 2 },
    };
    const job_id = await create(dies);
    expect(await node.rpc('JobService.Wait', { job_id })).toMatchObject({
      status: 'failed',
      attempt: 2,
      reason: 'exited_during_start',
      exit_code: 3,
    });
    const attempts = (await containersOf(job_id)).map(({ Labels }) => Labels['container-manager.attempt']);
    expect(attempts).toEqual(['2']);
  });

  test('12. a container that exits 0 at once is not a failure to start', async () => {
    const quick = await create({ arguments: ['true'] });
    const broken = await create({ arguments: ['no-such-command'] });
    expect(await node.rpc('JobService.Wait', { job_id: quick })).toMatchObject({
      status: 'complete',
      reason: 'exited',
      exit_code: 0,
    });
    expect(await node.rpc('JobService.Wait', { job_id: broken })).toMatchObject({
      // The init process of the container is what finds that there is no such command.
      status: 'failed',
      exit_code: 127,
      attempt: 1,
    });
  });

  test(`14. 50 Creates at once, ${WORKERS} workers: ids of their own, and all come to their end`, async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => create({ arguments: ['true'] })));
    expect(new Set(ids).size).toBe(50);
    const ended = await Promise.all(
      ids.map((job_id) => node.rpc('JobService.Wait', { job_id, timeout_ms: 150_000 }, 150_000)),
    );
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['complete']));
    const { jobs } = await node.rpc('JobService.List', { limit: 1000 });
    const listed = jobs.map(({ job_id }) => job_id);
    expect(ids.filter((id) => !listed.includes(id))).toEqual([]);
  }, 180_000);

  test.each([
    [['--queue-size', '0'], 'queue size must be greater than 0'],
    [['--worker-count', '0'], 'worker count must be greater than 0'],
    [['--listen-address', ''], 'listen address is required'],
    [['--jrpc-port', ''], 'jrpc-port is required'],
    [['--log-level', ''], 'log level is required'],
  ])('15. %j: %s', async (args, message) => {
    await using other = await NodeHome.create();
    // A flag counts more than the environment that tests configure nodes with.
    const refused = other.spawn({ args });
    const { code } = await refused.exited;
    expect(code).toBe(2);
    expect(other.log()).toContain(message);
    expect(other.log()).toMatch(/invalid config/);
  });

  test('16. a graceful stop: work in hand is finished, what waits is reported and done by the next start', async () => {
    // A container is in hand for as long as it has to be up, and so is the first one until the node is told to stop.
    await using small = await NodeHome.create({ settings: { worker_count: 1, settle_time: '2s' } });
    const first = await small.start();
    const spec = { image: TEST_IMAGE, arguments: ['sh', '-c', 'sleep 8; exit 0'], network: 'none' };
    const inHand = await first.rpc('ContainerService.Create', spec);
    await expect.poll(async () => (await first.rpc('QueueService.Stats', {})).working, PATIENCE).toBe(1);
    const waiting = [
      await first.rpc('ContainerService.Create', spec),
      await first.rpc('ContainerService.Create', spec),
    ];
    expect(await first.stop()).toBe(0);
    const drain = small
      .log()
      .split('\n')
      .find((line) => line.includes('node drains'));
    expect(JSON.parse(drain ?? '{}')).toMatchObject({ waiting: 2, working: 1 });
    const second = await small.start();
    const { events } = await second.rpc('JobService.History', { job_id: inHand.job_id });
    expect(events.slice(0, 3).map(({ type }) => type)).toEqual(['pending', 'starting', 'running']);
    for (const { job_id } of [inHand, ...waiting]) {
      expect(await second.rpc('JobService.Wait', { job_id })).toMatchObject({
        status: 'complete',
        attempt: 1,
      });
    }
  });
});
