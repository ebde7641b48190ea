import { describe, expect, test } from 'vitest';
import { post, startApi, until } from './api-harness.ts';

/** Clients of the first version send no `jsonrpc`, and compare texts. */
const CREATE = {
  method: 'ContainerService.Create',
  params: [{ image: 'nginx', arguments: [], resources: {}, env: {} }],
};

describe('JSON-RPC 1.0', () => {
  test('1.4.1 Create answers with the fields and the envelope it always had', async () => {
    const { port, jobs } = await startApi();
    const reply = await post(port, { ...CREATE, id: 1 });
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8');
    const [job] = jobs.list({ limit: 1 }).jobs;
    const id = job?.job.id ?? '';
    expect(reply.text).toBe(
      `{"result":{"job_id":"${id}","message":"Job created successfully"},"error":null,"id":1}`,
    );
  });

  test('1.4.2 Status follows the job', async () => {
    const { port, jobs } = await startApi();
    const created = JSON.parse((await post(port, { ...CREATE, id: 1 })).text) as {
      result: { job_id: string };
    };
    const { job_id } = created.result;
    const status = async (): Promise<string> =>
      (await post(port, { method: 'ContainerService.Status', params: [{ job_id }], id: 2 })).text;
    expect(await status()).toBe(`{"result":{"job_id":"${job_id}","status":"pending"},"error":null,"id":2}`);
    jobs.move(job_id, 'complete', { reason: 'exited', message: 'exited 0', retryable: false });
    expect(await status()).toBe(`{"result":{"job_id":"${job_id}","status":"complete"},"error":null,"id":2}`);
  });

  const REFUSALS: readonly [name: string, body: object, error: string][] = [
    ['1.4.3 no image', { ...CREATE, params: [{}] }, 'invalid request: image is required'],
    ['no argument at all', { ...CREATE, params: [] }, 'invalid request: image is required'],
    ['an empty image', { ...CREATE, params: [{ image: '' }] }, 'invalid request: image is required'],
    [
      '1.4.4 an unknown job',
      { method: 'ContainerService.Status', params: [{ job_id: 'nope' }] },
      'job not found',
    ],
    ['1.4.5 an unknown service', { ...CREATE, method: 'Foo.Nope' }, `rpc: can't find service "Foo.Nope"`],
    [
      '1.4.5 an unknown method',
      { ...CREATE, method: 'ContainerService.Nope' },
      `rpc: can't find method "ContainerService.Nope"`,
    ],
    ['1.4.5 no service', { ...CREATE, method: 'Create' }, 'rpc: service/method request ill-formed: "Create"'],
    ['1.4.5 no method', { params: [{}] }, 'rpc: service/method request ill-formed: ""'],
    ['two dots', { ...CREATE, method: 'A.B.C' }, 'rpc: service/method request ill-formed: "A.B.C"'],
    [
      '1.4.5 no params',
      { method: 'ContainerService.Create' },
      'rpc: method request ill-formed: missing params field',
    ],
    [
      '1.4.5 an object for params',
      { ...CREATE, params: { image: 'nginx' } },
      'json: cannot unmarshal object into Go value of type [1]interface {}',
    ],
    [
      'a text for params',
      { ...CREATE, params: 'nginx' },
      'json: cannot unmarshal string into Go value of type [1]interface {}',
    ],
    [
      'a truth value for params',
      { ...CREATE, params: true },
      'json: cannot unmarshal bool into Go value of type [1]interface {}',
    ],
    [
      'an unknown field',
      { ...CREATE, params: [{ image: 'x', imgae: 1 }] },
      'invalid params: imgae is not a known field',
    ],
  ];

  test.each(REFUSALS)('%s', async (_name, body, error) => {
    const { port, jobs } = await startApi();
    const reply = await post(port, { ...body, id: 9 });
    expect(reply.status).toBe(400);
    expect(reply.text).toBe(JSON.stringify({ result: null, error, id: 9 }));
    expect(jobs.size).toBe(0);
  });

  test.each([{}, { id: null }])(
    '1.4.6 a notification (%j) is carried out and answered with nothing',
    async (id) => {
      const { port, jobs } = await startApi();
      expect(await post(port, { ...CREATE, ...id })).toMatchObject({ status: 200, text: '' });
      await until('the job is there', () => jobs.size === 1);
    },
  );

  test('1.4.7 a full queue refuses, and leaves nothing behind', async () => {
    const { port, jobs } = await startApi({ jobs: { queueSize: 1 } });
    await post(port, { ...CREATE, id: 1 });
    const reply = await post(port, { ...CREATE, id: 2 });
    expect(reply.status).toBe(400);
    expect(reply.text).toBe('{"result":null,"error":"failed to enqueue job: job queue is full","id":2}');
    expect(jobs.size).toBe(1);
  });

  test('1.4.9 a call of many kilobytes is one like any other', async () => {
    const { port, jobs } = await startApi();
    const env = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`NAME_${index}`, 'v'.repeat(1000)]),
    );
    expect((await post(port, { ...CREATE, params: [{ image: 'nginx', env }], id: 1 })).status).toBe(200);
    expect(jobs.list({ limit: 1 }).jobs[0]?.job.spec.env).toEqual(env);
  });

  test('1.4.14 fifty Creates at once get fifty ids', async () => {
    const { port } = await startApi();
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, id) => post(port, { ...CREATE, id: id + 1 })),
    );
    const ids = replies.map(({ text }) => (JSON.parse(text) as { result: { job_id: string } }).result.job_id);
    expect(new Set(ids).size).toBe(50);
  });

  test.each(['x', 7, [1, { a: null }], { b: true }, false])('the id %j comes back as it is', async (id) => {
    const { port } = await startApi();
    const reply = await post(port, { method: 'QueueService.Stats', params: [{}], id });
    expect(JSON.parse(reply.text)).toMatchObject({ error: null, id });
  });

  test('surplus arguments are left aside, as they always were', async () => {
    const { port, jobs } = await startApi();
    expect((await post(port, { ...CREATE, params: [{ image: 'a' }, { image: 'b' }], id: 1 })).status).toBe(
      200,
    );
    expect(jobs.list({ limit: 5 }).jobs.map(({ job }) => job.spec.image)).toEqual(['a']);
  });
});
