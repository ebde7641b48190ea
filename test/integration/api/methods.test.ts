import { expect, describe, test } from 'vitest';
import { METHODS } from '../../../src/api/methods/table.ts';
import type { RpcMethodName } from '../../../src/api/wire.ts';
import { InvariantError } from '../../../src/kernel/errors.ts';
import { JobError } from '../../../src/jobs/errors.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { http, post, rpc, startApi, until } from './api-harness.ts';
import type { RpcAnswer, RunningApi } from './api-harness.ts';

async function created(api: RunningApi, params: object = { image: 'nginx' }): Promise<string> {
  const { result } = await rpc(api.port, 'ContainerService.Create', params);
  return result?.['job_id'] as string;
}

/** The result, which must be what the reference says it is. */
async function resultOf(
  api: RunningApi,
  name: RpcMethodName,
  params?: unknown,
): Promise<Record<string, unknown>> {
  const { result, error } = await rpc(api.port, name, params);
  expect(error).toBeUndefined();
  expect(METHODS[name].result().parse(result)).toEqual(result);
  return result as Record<string, unknown>;
}

function reasonOf({ error }: RpcAnswer): [number | undefined, string | undefined] {
  return [error?.code, error?.data.reason];
}

describe('ContainerService', () => {
  test("the README's Create is taken as it stands", async () => {
    const api = await startApi();
    const body =
      '{"jsonrpc":"2.0","method":"ContainerService.Create","params":[{"image":"nginx","arguments":[],"resources":{},"env":{}}],"id":1}';
    const reply = JSON.parse((await post(api.port, body)).text) as RpcAnswer;
    expect(reply).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: { job_id: expect.any(String) as string, message: 'Job created successfully' },
    });
    expect(api.jobs.callers).toEqual(['local']);
  });

  test.each([[[{ image: 'nginx' }]], [{ image: 'nginx' }]])('params may be %j', async (params) => {
    const api = await startApi();
    await resultOf(api, 'ContainerService.Create', params);
    expect(api.jobs.size).toBe(1);
  });

  test('a second Create with the same key is the same job; with another spec it is refused', async () => {
    const api = await startApi();
    const params = { image: 'nginx', idempotency_key: 'k' };
    const first = await resultOf(api, 'ContainerService.Create', params);
    const second = await resultOf(api, 'ContainerService.Create', params);
    expect(first['deduplicated']).toBeUndefined();
    expect(second).toEqual({ ...first, deduplicated: true });
    const third = await rpc(api.port, 'ContainerService.Create', { ...params, image: 'redis' });
    expect(reasonOf(third)).toEqual([-32009, 'idempotency_conflict']);
    expect(api.jobs.size).toBe(1);
  });

  test('with wait_ms, Create says how far the job came', async () => {
    const api = await startApi();
    const waiting = resultOf(api, 'ContainerService.Create', { image: 'nginx', wait_ms: 20_000 });
    await until('the job is there', () => api.jobs.size === 1);
    api.jobs.move(api.jobs.list({ limit: 1 }).jobs[0]?.job.id ?? '', 'running');
    expect((await waiting)['status']).toBe('running');
    expect(await resultOf(api, 'ContainerService.Create', { image: 'nginx', wait_ms: 0 })).toMatchObject({
      status: 'pending',
    });
  });

  test('Stop takes a running job only, and may wait for its end', async () => {
    const api = await startApi();
    const job_id = await created(api);
    expect(reasonOf(await rpc(api.port, 'ContainerService.Stop', { job_id }))).toEqual([
      -32002,
      'invalid_state',
    ]);
    api.jobs.move(job_id, 'running');
    const stopping = resultOf(api, 'ContainerService.Stop', { job_id, timeout: '3s', wait_ms: 20_000 });
    await until(
      'the job is stopping',
      () => api.jobs.list({ limit: 1, states: ['stopping'] }).jobs.length === 1,
    );
    api.jobs.move(job_id, 'complete', {
      reason: 'stopped',
      message: 'stopped',
      exitCode: 143,
      retryable: false,
    });
    expect(await stopping).toMatchObject({ status: 'complete', reason: 'stopped', exit_code: 143 });
    expect(api.jobs.stopGraces).toEqual([3000]);
  });

  test('Stop answers with the job as it stands when wait_ms is over', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.move(job_id, 'running');
    expect(await resultOf(api, 'ContainerService.Stop', { job_id, wait_ms: 1 })).toMatchObject({
      status: 'stopping',
    });
  });

  test('Remove takes an ended job, or any with force', async () => {
    const api = await startApi();
    const job_id = await created(api);
    expect(reasonOf(await rpc(api.port, 'ContainerService.Remove', { job_id }))).toEqual([
      -32002,
      'invalid_state',
    ]);
    expect(await resultOf(api, 'ContainerService.Remove', { job_id, force: true })).toEqual({
      job_id,
      removed: true,
    });
    expect(reasonOf(await rpc(api.port, 'ContainerService.Status', { job_id }))).toEqual([
      -32001,
      'not_found',
    ]);
  });

  test('Logs gives the newest lines and says when there were more', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.logSource = async function* () {
      yield { stream: 'stdout', data: Buffer.from('one\ntwo\nthr') };
      yield { stream: 'stderr', data: Buffer.from('bad\n') };
      yield { stream: 'stdout', data: Buffer.from('ee') };
    };
    expect(await resultOf(api, 'ContainerService.Logs', { job_id, tail: 2 })).toEqual({
      job_id,
      entries: [
        { stream: 'stderr', line: 'bad' },
        { stream: 'stdout', line: 'three' },
      ],
      truncated: true,
    });
    expect(await resultOf(api, 'ContainerService.Logs', { job_id, since: '5m' })).toMatchObject({
      truncated: false,
    });
    expect(api.jobs.logOptions.at(-1)).toMatchObject({ sinceAgoMs: 300_000 });
    expect(reasonOf(await rpc(api.port, 'ContainerService.Logs', { job_id, since: 'yesterday' }))).toEqual([
      -32602,
      'invalid_params',
    ]);
  });

  test('Stats samples running jobs, or one', async () => {
    const api = await startApi();
    const job_id = await created(api, { image: 'nginx', name: 'web' });
    await created(api);
    expect(await resultOf(api, 'ContainerService.Stats')).toEqual({ stats: [] });
    api.jobs.move(job_id, 'running');
    const { stats } = await resultOf(api, 'ContainerService.Stats', { job_id });
    expect(stats).toMatchObject([{ job_id, name: 'web', cpus: 0.5 }]);
  });
});

describe('JobService', () => {
  test('List pages through, the newest first', async () => {
    const api = await startApi();
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) ids.push(await created(api, { image: `image-${index}` }));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await resultOf(api, 'JobService.List', {
        limit: 2,
        ...(cursor !== undefined && { cursor }),
      });
      seen.push(...(page['jobs'] as { job_id: string }[]).map(({ job_id }) => job_id));
      cursor = page['next_cursor'] as string | undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids.sort().reverse());
  });

  test('List finds by state, name and beginning of the id', async () => {
    const api = await startApi();
    const job_id = await created(api, { image: 'nginx', name: 'web' });
    await created(api);
    api.jobs.move(job_id, 'running');
    for (const filter of [{ states: ['running'] }, { name: 'web' }, { id_prefix: job_id.slice(0, 36) }]) {
      const { jobs } = await resultOf(api, 'JobService.List', filter);
      expect(jobs).toMatchObject([{ job_id }]);
    }
  });

  test('Get shows the spec, and no value of env', async () => {
    const api = await startApi();
    const job_id = await created(api, { image: 'nginx', env: { PASSWORD: 'hunter2' }, stop_timeout: '3s' });
    const job = await resultOf(api, 'JobService.Get', { job_id });
    expect(job).toMatchObject({ job_id, container_name: `cm-${job_id}`, spec: { env: { PASSWORD: '***' } } });
    expect(JSON.stringify(job)).not.toContain('hunter2');
  });

  test('Wait answers at the end, or at running, or fails in time', async () => {
    const api = await startApi();
    const job_id = await created(api);
    expect(reasonOf(await rpc(api.port, 'JobService.Wait', { job_id, timeout_ms: 1 }))).toEqual([
      -32006,
      'timeout',
    ]);
    const running = resultOf(api, 'JobService.Wait', { job_id, until: 'running' });
    const ended = resultOf(api, 'JobService.Wait', { job_id });
    api.jobs.move(job_id, 'running');
    expect(await running).toMatchObject({ status: 'running' });
    api.jobs.move(job_id, 'failed', { reason: 'exited', message: 'exited 1', exitCode: 1, retryable: true });
    expect(await ended).toMatchObject({ status: 'failed', exit_code: 1, retryable: true });
  });

  test.each([
    ['JobService.Wait', (job_id: string) => ({ job_id })],
    ['ContainerService.Create', () => ({ image: 'x', wait_ms: 600_000 })],
  ])('%s ends its wait when its client leaves', async (method, paramsOf) => {
    const api = await startApi();
    const job_id = await created(api);
    const { request } = await import('node:http');
    const call = request({ port: api.port, path: '/jrpc', method: 'POST', agent: false });
    call.on('error', () => undefined);
    call.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: paramsOf(job_id) }));
    await until('the wait has arrived', () => api.jobs.waiting === 1);
    call.destroy();
    await until('the wait was given up', () => api.jobs.abandonedWaits === 1);
  });

  test('Cancel ends a job that does not run yet, and no other', async () => {
    const api = await startApi();
    const job_id = await created(api);
    expect(await resultOf(api, 'JobService.Cancel', { job_id })).toMatchObject({ status: 'cancelled' });
    expect(reasonOf(await rpc(api.port, 'JobService.Cancel', { job_id }))).toEqual([-32002, 'invalid_state']);
  });

  test('History tells every change in order', async () => {
    const api = await startApi();
    const job_id = await created(api);
    api.jobs.move(job_id, 'starting');
    api.jobs.move(job_id, 'running');
    const { events } = await resultOf(api, 'JobService.History', { job_id });
    expect((events as { type: string }[]).map(({ type }) => type)).toEqual([
      'pending',
      'starting',
      'running',
    ]);
  });
});

describe('QueueService and SystemService', () => {
  test('Pause and Resume say how things stand then', async () => {
    const api = await startApi();
    expect(await resultOf(api, 'QueueService.Stats')).toMatchObject({ paused: false });
    expect(await resultOf(api, 'QueueService.Pause')).toMatchObject({ paused: true });
    expect(await resultOf(api, 'QueueService.Resume', [])).toMatchObject({ paused: false });
  });

  test('Version and Health', async () => {
    const api = await startApi();
    expect(await resultOf(api, 'SystemService.Version')).toEqual({
      version: '1.2.3',
      node_version: process.version,
    });
    expect(await resultOf(api, 'SystemService.Health')).toMatchObject({ status: 'ok', ready: true });
  });

  test('rpc.discover describes every method', async () => {
    const api = await startApi();
    const document = await resultOf(api, 'rpc.discover');
    expect(document).toMatchObject({
      openrpc: '1.3.2',
      info: { title: 'container-manager', version: '1.2.3' },
    });
    const methods = document['methods'] as { name: string; params: object[]; result: object }[];
    expect(methods.map(({ name }) => name)).toEqual(Object.keys(METHODS));
    const create = methods.find(({ name }) => name === 'ContainerService.Create');
    expect(create?.params[0]).toMatchObject({ name: 'image', required: true, schema: { type: 'string' } });
    expect(create?.result).toMatchObject({ schema: { required: ['job_id', 'message'] } });
  });
});

describe('bad params', () => {
  const CASES: readonly [name: string, method: string, params: unknown, message: string | RegExp][] = [
    ['missing image', 'ContainerService.Create', {}, 'invalid request: image is required'],
    ['no params', 'ContainerService.Create', undefined, 'invalid request: image is required'],
    [
      'wrong type',
      'ContainerService.Create',
      { image: 5 },
      'invalid params: image must be a string, not a number (got 5)',
    ],
    [
      'unknown field',
      'ContainerService.Create',
      { image: 'x', privileged: true },
      'invalid params: privileged is not a known field',
    ],
    [
      'unknown field further in',
      'ContainerService.Create',
      { image: 'x', resources: { gpus: 1 } },
      'invalid params: resources.gpus is not a known field',
    ],
    [
      'negative limit',
      'ContainerService.Create',
      { image: 'x', resources: { memory: -1 } },
      'invalid params: resources.memory must be between 6m and 64t (got -1)',
    ],
    [
      'absurd limit',
      'ContainerService.Create',
      { image: 'x', resources: { cpu: 1e9 } },
      /^invalid params: resources.cpu must be .* \(got 1000000000\)$/,
    ],
    [
      'wrong type in a list',
      'ContainerService.Create',
      { image: 'x', arguments: ['a', 7] },
      'invalid params: arguments[1] must be a string, not a number',
    ],
    [
      'too large a number',
      'ContainerService.Create',
      { image: 'x', priority: 1001 },
      'invalid params: priority must be at most 1000 (got 1001)',
    ],
    [
      'a value that is none of those allowed',
      'JobService.Wait',
      { job_id: 'x', until: 'dawn' },
      'invalid params: until must be one of "running", "ended" (got "dawn")',
    ],
    [
      'two objects',
      'JobService.Get',
      [{ job_id: 'x' }, {}],
      /^invalid params: the params must be one object/,
    ],
    ['no object', 'JobService.Get', ['x'], /^invalid params: the params must be one object/],
    ['missing id', 'JobService.Get', {}, 'invalid params: job_id is required'],
  ];

  test.each(CASES)('%s', async (_name, method, params, message) => {
    const { port, jobs } = await startApi();
    const { error } = await rpc(port, method, params);
    expect(error).toMatchObject({ code: -32602, data: { reason: 'invalid_params', retryable: false } });
    if (typeof message === 'string') expect(error?.message).toBe(message);
    else expect(error?.message).toMatch(message);
    expect(jobs.size).toBe(0);
  });

  test('the details list every problem with its place', async () => {
    const { port } = await startApi();
    const params = { image: 'x', priority: 'high', imgae: 1, ports: [{ container: 0 }] };
    const { error } = await rpc(port, 'ContainerService.Create', params);
    const problems = error?.data.details['problems'] as { path: string }[];
    expect(problems.map(({ path }) => path).sort()).toEqual(['imgae', 'ports[0].container', 'priority']);
  });

  test('values of env are never quoted', async () => {
    const { port } = await startApi();
    const reply = await rpc(port, 'ContainerService.Create', {
      image: 'x',
      env: { PASSWORD: 123456789, A: 'x\0secret' },
    });
    expect(reply.error?.message).toBe('invalid params: env.PASSWORD must be a string, not a number');
    expect(JSON.stringify(reply)).not.toMatch(/123456789|secret/);
  });

  test('an id that belongs to nobody, in whatever shape, is not found', async () => {
    const { port } = await startApi();
    for (const job_id of ['x', '0190c0de-0000-7000-8000-000000000000', '../../etc/passwd', 'A'.repeat(128)]) {
      expect(reasonOf(await rpc(port, 'ContainerService.Status', { job_id }))).toEqual([-32001, 'not_found']);
    }
  });
});

describe('failures', () => {
  const FAILURES: readonly [error: Error, code: number, reason: string][] = [
    [new JobError('policy_denied', 'no'), -32005, 'policy_denied'],
    [new JobError('store_full', 'the disk is full', { retryable: true }), -32603, 'store_full'],
    [new JobError('draining', 'the node is stopping', { retryable: true }), -32015, 'draining'],
    [new JobError('invalid_spec', 'malformed reference'), -32602, 'invalid_params'],
    [new RuntimeError('image_not_found', 'no such image'), -32012, 'image_not_found'],
    [new RuntimeError('engine_unavailable', 'no engine answers'), -32603, 'engine_unavailable'],
  ];

  test.each(FAILURES)('%s is told with its code', async (error, code, reason) => {
    const { port, jobs, log } = await startApi();
    jobs.createError = error;
    const answer = await rpc(port, 'ContainerService.Create', { image: 'x' });
    expect(answer.error).toMatchObject({ code, message: error.message, data: { reason } });
    expect(log).toEqual([]);
  });

  test('a full queue says how full, and when to come again', async () => {
    const { port } = await startApi({ jobs: { queueSize: 1 } });
    await rpc(port, 'ContainerService.Create', { image: 'x' });
    const { error } = await rpc(port, 'ContainerService.Create', { image: 'x' });
    expect(error).toMatchObject({
      code: -32010,
      data: {
        reason: 'queue_full',
        retryable: true,
        retry_after_ms: 500,
        details: { queue_size: 1, waiting: 1 },
      },
    });
  });

  test('of an unknown failure the client gets an id, and the log the rest', async () => {
    const { port, jobs, log, invariantErrors } = await startApi();
    jobs.createError = new TypeError('secret detail');
    const answer = await rpc(port, 'ContainerService.Create', { image: 'x' });
    expect(answer.error?.code).toBe(-32603);
    expect(JSON.stringify(answer)).not.toContain('secret detail');
    const errorId = answer.error?.data.details['error_id'];
    expect(log).toMatchObject([{ level: 'error', facts: { errorId, err: jobs.createError } }]);
    expect(invariantErrors).toEqual([]);
  });

  test('a broken invariant is told to whoever runs the process', async () => {
    const { port, jobs, invariantErrors } = await startApi();
    jobs.createError = new InvariantError('two owners');
    await rpc(port, 'ContainerService.Create', { image: 'x' });
    expect(invariantErrors).toEqual([jobs.createError]);
  });
});

describe('the other routes', () => {
  test('/health and /ready', async () => {
    let isReady = true;
    const health = () => ({
      status: isReady ? ('ok' as const) : ('degraded' as const),
      ready: isReady,
      version: '1',
      node: 'n',
      uptime_ms: 1,
      parts: {
        docker: isReady ? { status: 'ok' as const } : { status: 'down' as const, message: 'no engine' },
      },
    });
    const { port } = await startApi({ health });
    expect((await http(port, '/health')).status).toBe(200);
    expect(await http(port, '/ready')).toMatchObject({ status: 200, text: '{"ready":true,"problems":{}}' });
    isReady = false;
    expect(JSON.parse((await http(port, '/health')).text)).toEqual(health());
    expect(await http(port, '/ready')).toMatchObject({
      status: 503,
      text: '{"ready":false,"problems":{"docker":"no engine"}}',
    });
    const verbose = await http(port, '/ready?verbose');
    expect([verbose.status, JSON.parse(verbose.text)]).toEqual([503, health()]);
  });

  test('/metrics', async () => {
    const { port } = await startApi();
    const reply = await http(port, '/metrics');
    expect(reply).toMatchObject({ status: 200, text: 'up 1\n' });
    expect(reply.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test('/jobs and /containers', async () => {
    const api = await startApi();
    const job_id = await created(api);
    await created(api);
    api.jobs.move(job_id, 'running');
    expect(JSON.parse((await http(api.port, '/jobs?limit=1')).text)).toMatchObject({
      next_cursor: expect.any(String) as string,
    });
    expect(JSON.parse((await http(api.port, '/jobs?status=running,failed')).text)).toMatchObject({
      jobs: [{ job_id }],
    });
    const { containers } = JSON.parse((await http(api.port, '/containers')).text) as { containers: object[] };
    expect(containers).toMatchObject([{ job_id, container_id: `container-of-${job_id}` }]);
  });

  test.each([
    '/jobs?limit=0',
    '/jobs?limit=1001',
    '/jobs?limit=x',
    '/jobs?limit=1&limit=2',
    '/jobs?status=sleeping',
    '/jobs?nonsense=1',
    '/ready?verbose=maybe',
    '/v1/events?last_event_id=x',
  ])('%s is refused by name', async (path) => {
    const { port } = await startApi();
    const reply = await http(port, path);
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(JSON.parse(reply.text)).toMatchObject({ reason: 'invalid_params' });
  });

  test('an unknown path gets the list of those there are', async () => {
    const { port } = await startApi();
    const reply = await http(port, '/nowhere');
    expect(reply.status).toBe(404);
    const { details } = JSON.parse(reply.text) as { details: { paths: string[] } };
    expect(details.paths).toContain('GET /v1/jobs/{id}/logs');
  });

  test.each(['/', '/jrpc/', '//jrpc', '/jrpc/../health', '/%6arpc', '/v1/jobs//logs', '/v1/jobs/a%2fb/logs'])(
    '%s is nothing we know',
    async (path) => {
      const { port } = await startApi();
      expect((await http(port, path)).status).toBe(404);
    },
  );

  test('HEAD is GET without the body', async () => {
    const { port } = await startApi();
    const reply = await http(port, '/health', { method: 'HEAD' });
    expect(reply).toMatchObject({ status: 200, text: '' });
    expect(Number(reply.headers['content-length'])).toBeGreaterThan(10);
  });

  test('other methods are refused with those there are', async () => {
    const { port } = await startApi();
    const reply = await http(port, '/health', { method: 'POST' });
    expect(reply.status).toBe(405);
    expect(reply.headers.allow).toBe('GET, HEAD');
  });

  test('U3: every answer carries the headers that keep it from being taken for a page', async () => {
    const { port } = await startApi();
    const paths = [
      '/health',
      '/ready',
      '/metrics',
      '/jobs',
      '/containers',
      '/controllers',
      '/ws',
      '/nowhere',
      '/jrpc',
      '/jobs?limit=x',
    ];
    const replies = await Promise.all(paths.map((path) => http(port, path)));
    replies.push(await post(port, { jsonrpc: '2.0', id: 1, method: 'QueueService.Stats' }));
    for (const { headers } of replies) {
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
      });
    }
  });
});
