import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { RpcClient, type EventMessage } from '../../../src/api/client.ts';
import { METHODS } from '../../../src/api/methods/table.ts';
import type { JobEventView, JobView, LogEntry } from '../../../src/api/wire.ts';
import { newJobId, type NodeId } from '../../../src/kernel/ids.ts';
import { JobCluster } from '../../support/job-cluster.ts';
import { http, rpc, startApi, until, type RunningApi } from './api-harness.ts';

/** An API over the jobs of this node and of another one. */
async function startCluster(): Promise<{ api: RunningApi; cluster: JobCluster; client: RpcClient }> {
  let cluster: JobCluster | undefined;
  const api = await startApi({
    jobs: { owner: '12D3KooWTest' as NodeId },
    facade: (jobs) => (cluster = new JobCluster(jobs)).jobs,
  });
  const client = new RpcClient({ address: `127.0.0.1:${api.port}` });
  return { api, cluster: cluster as JobCluster, client };
}

async function createHere(client: RpcClient): Promise<string> {
  return (await client.call('ContainerService.Create', { image: 'near' })).job_id;
}

describe('a job of another node', () => {
  test('has a status here, known or asked for', async () => {
    const { api, cluster } = await startCluster();
    const known = await cluster.createFar();
    const asked = await cluster.createFar();
    cluster.mirror.remove(asked);
    cluster.mirror.elsewhere.set(asked.id, asked);
    for (const { id } of [known, asked]) {
      expect((await rpc(api.port, 'ContainerService.Status', { job_id: id })).result).toEqual({
        job_id: id,
        status: 'pending',
      });
    }
    const nobodys = await rpc(api.port, 'ContainerService.Status', { job_id: newJobId(0) });
    expect(nobodys.error).toMatchObject({ code: -32001 });
  });

  test('is shown with its owner, when that was heard, and whether it may be gone', async () => {
    const { cluster, client } = await startCluster();
    const far = await cluster.createFar({ env: { A: 'secret' } });
    const here = await createHere(client);
    cluster.mirror.ageMs.set(far.owner, 25_000.4);
    cluster.mirror.lost.add(far.owner);
    const view = await client.call('JobService.Get', { job_id: far.id });
    expect(view).toMatchObject({ owner: far.owner, age_ms: 25_000, lost: true, spec: { env: { A: '***' } } });
    expect(METHODS['JobService.Get'].result().parse(view)).toEqual(view);
    const own = await client.call('JobService.Get', { job_id: here });
    expect(own).toMatchObject({ owner: '12D3KooWTest', age_ms: 0 });
    expect(own).not.toHaveProperty('lost');
  });

  test('is listed when all nodes, or its own, are asked for', async () => {
    const { api, cluster, client } = await startCluster();
    const far = await cluster.createFar();
    const here = await createHere(client);
    const ids = ({ jobs }: { jobs: JobView[] }): string[] => jobs.map(({ job_id }) => job_id).sort();
    expect(ids(await client.call('JobService.List', {}))).toEqual([here]);
    const all = await client.call('JobService.List', { all_nodes: true });
    expect(ids(all)).toEqual([here, far.id].sort());
    expect(METHODS['JobService.List'].result().parse(all)).toEqual(all);
    expect(ids(await client.call('JobService.List', { owner: far.owner }))).toEqual([far.id]);
    const get = async (query: string): Promise<string[]> =>
      ids(JSON.parse((await http(api.port, `/jobs${query}`)).text) as { jobs: JobView[] });
    expect(await get('')).toEqual([here]);
    expect(await get('?all_nodes')).toEqual([here, far.id].sort());
    expect(await get(`?owner=${far.owner}`)).toEqual([far.id]);
    expect((await http(api.port, '/jobs?owner=no%20node')).status).toBe(400);
  });

  test('is stopped, waited for, read and removed from here', async () => {
    const { cluster, client } = await startCluster();
    const { id, owner } = await cluster.createFar();
    cluster.far.move(id, 'running');
    cluster.tell(id);
    cluster.far.logSource = async function* () {
      await Promise.resolve();
      yield { stream: 'stderr', data: Buffer.from('far away\n') };
    };
    const lines = [{ stream: 'stderr', line: 'far away' }];
    expect(await client.call('ContainerService.Logs', { job_id: id })).toMatchObject({ entries: lines });
    const streamed: LogEntry[] = [];
    for await (const entry of client.streamLogs(id)) streamed.push(entry);
    expect(streamed).toEqual(lines);
    expect((await client.call('ContainerService.Stats', { job_id: id })).stats).toMatchObject([
      { job_id: id },
    ]);
    const { events } = await client.call('JobService.History', { job_id: id });
    expect(events.map((event) => [event.type, event.owner])).toEqual([
      ['pending', owner],
      ['running', owner],
    ]);
    const stopped = client.call('ContainerService.Stop', { job_id: id, wait_ms: 10_000 });
    await until('the wait', () => cluster.far.waiting === 1);
    cluster.far.move(id, 'complete');
    expect(await stopped).toMatchObject({ job_id: id, status: 'complete', age_ms: 0 });
    await client.call('ContainerService.Remove', { job_id: id });
    expect(cluster.far.size).toBe(0);
  });

  test('whose owner is away is answered with 503 where that is needed', async () => {
    const { api, cluster } = await startCluster();
    const { id, owner } = await cluster.createFar();
    cluster.pair.disconnect();
    const { error } = await rpc(api.port, 'ContainerService.Stop', { job_id: id });
    expect(error).toMatchObject({
      code: -32016,
      data: { reason: 'peer_unreachable', retryable: true, details: { job_id: id, node: owner } },
    });
    const logs = await http(api.port, `/v1/jobs/${id}/logs`);
    expect(logs.status).toBe(503);
    expect(JSON.parse(logs.text)).toMatchObject({ reason: 'peer_unreachable' });
    expect((await rpc(api.port, 'JobService.Get', { job_id: id })).result).toMatchObject({
      status: 'pending',
    });
  });
});

describe('events of all nodes', () => {
  async function open(port: number, path: string, lastEventId?: string): Promise<() => string> {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const sent = request({ port, path, headers, agent: false });
    sent.on('error', () => undefined);
    onTestFinished(() => void sent.destroy());
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('error', () => undefined);
    return () => text;
  }

  test('come with their owner, and nobody is made to resume after one of another node', async () => {
    const { api, cluster, client } = await startCluster();
    const text = await open(api.port, '/v1/events?all_nodes');
    const own = await open(api.port, '/v1/events');
    const far = await cluster.createFar();
    const here = await createHere(client);
    await until('both events', () => (text().match(/^data: /gm) ?? []).length === 2);
    const frames = text()
      .split('\n\n')
      .filter((frame) => frame.includes('data: '));
    const views = frames.map((frame) => JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? '') as JobEventView);
    const ofFar = frames[views.findIndex(({ job_id }) => job_id === far.id)];
    const ofHere = frames[views.findIndex(({ job_id }) => job_id === here)];
    expect(views).toContainEqual(expect.objectContaining({ job_id: far.id, owner: far.owner }));
    expect(ofFar).not.toMatch(/^id:/m);
    expect(ofHere).toMatch(/^id: 1-1$/m);
    await until('the own event', () => own().includes(here));
    expect(own()).not.toContain(far.id);
  });

  test('go on after the last own event, whatever came after it', async () => {
    const { api, cluster, client } = await startCluster();
    const here = await createHere(client);
    api.jobs.move(here, 'starting');
    const messages: EventMessage[] = [];
    const abort = new AbortController();
    const stream = client.streamEvents({ lastEventId: '1-1', allNodes: true, signal: abort.signal });
    const reading = (async () => {
      for await (const message of stream) messages.push(message);
    })();
    await until('what was missed', () => messages.length === 1);
    await cluster.createFar();
    await until('the other one', () => messages.length === 2);
    expect(messages).toMatchObject([
      { kind: 'job', event: { id: '1-2' } },
      { kind: 'job', event: { owner: cluster.far.owner } },
    ]);
    abort.abort();
    await reading.catch(() => undefined);
    // Where the stream itself says where it stands, an event without a place leaves it there.
    const text = await open(api.port, '/v1/events?all_nodes', '1-2');
    await until('the place', () => text().includes('id: 1-2\n'));
  });
});
