import { request } from 'node:http';
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeDriver } from '../../support/fake-driver.ts';
import { httpCall, NodeHome, type NodeProcess, RpcFailure } from '../../support/node-process.ts';
import { PATIENCE } from '../../support/patience.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineServer } from '../../support/engine-server.ts';
import { listJobs } from './support/verdict.ts';

const RESTARTS = figure(10, 200);
const CLIENTS = 16;
const GRACE_MS = boundMs(5_000);

let bundle: DaemonBundle;
beforeAll(async () => {
  bundle = await DaemonBundle.make();
});
afterAll(() => bundle[Symbol.dispose]());

async function setUp(
  stack: AsyncDisposableStack,
  latencyMs = 2,
): Promise<{ driver: FakeDriver; home: NodeHome }> {
  const driver = new FakeDriver({ latencyMs });
  driver.addImage('test');
  const engine = stack.use(await EngineServer.start(driver));
  const home = await NodeHome.create({
    program: bundle.program,
    env: { CM_TEST_ENGINE: engine.socketPath },
    settings: { grace_period: `${GRACE_MS}ms`, queue_size: 100_000, worker_count: 8 },
  });
  return { driver, home: stack.use(home) };
}

/** What became of requests sent over connections that the node had accepted. */
interface Tally {
  answered: number;
  refused: number;
  /** Accepted, and never answered. */
  readonly failed: string[];
  readonly acknowledged: string[];
}

/** Creates and Statuses in turn over one kept-alive connection at a time, as long as the signal lets it. */
async function load(port: number, tally: Tally, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let turn = 0; !signal.aborted; turn += 1) {
    const isCreate = turn % 2 === 0;
    const method = isCreate ? 'ContainerService.Create' : 'QueueService.Stats';
    const params = isCreate ? { image: 'test', arguments: ['exit', '0'] } : {};
    const outcome = await exchange(port, agent, JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
    if (outcome.kind === 'not accepted') await delay(20);
    else if (outcome.kind === 'failed') tally.failed.push(outcome.why);
    else {
      const reply = JSON.parse(outcome.text) as {
        result?: { job_id?: string };
        error?: { data: { reason: string } };
      };
      if (reply.error === undefined) tally.answered += 1;
      else if (['draining', 'starting'].includes(reply.error.data.reason)) tally.refused += 1;
      else tally.failed.push(outcome.text);
      if (reply.result?.job_id !== undefined) tally.acknowledged.push(reply.result.job_id);
    }
  }
  agent.destroy();
}

type Outcome =
  { kind: 'answered'; text: string } | { kind: 'failed'; why: string } | { kind: 'not accepted' };

/** A connection that is refused, or ended before the node took anything of it, was not accepted. */
function exchange(port: number, agent: Agent, body: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
    const outgoing = request(
      { host: '127.0.0.1', port, method: 'POST', path: '/jrpc', headers, agent },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (text += piece));
        response.on('error', (error) => resolve({ kind: 'failed', why: error.message }));
        response.on('end', () => resolve({ kind: 'answered', text }));
      },
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // Waited in the kernel's queue when the node stopped to listen; or the node had said that it closes.
      const isNew = !outgoing.reusedSocket;
      resolve(
        isNew ? { kind: 'not accepted' } : { kind: 'failed', why: `${error.code} on a kept connection` },
      );
    });
    outgoing.end(body);
  });
}

/** Reads a stream until the node ends it; `isWhole` when it ended properly. */
async function readStream(
  port: number,
  path: string,
): Promise<{ opened: Promise<void>; ended: Promise<{ isWhole: boolean; text: string }> }> {
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<{ isWhole: boolean; text: string }>();
  request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (piece: string) => (text += piece));
    response.on('close', () => ended.resolve({ isWhole: response.complete, text }));
    response.on('error', () => undefined);
    opened.resolve();
  })
    .on('error', opened.reject)
    .end();
  return { opened: opened.promise, ended: ended.promise };
}

describe('SIGTERM', () => {
  test(
    `${RESTARTS} rolling restarts under load: nothing accepted fails, and every exit is 0`,
    async () => {
      await using stack = new AsyncDisposableStack();
      const { home } = await setUp(stack);
      const random = seededRandom('rolling restarts');
      const tally: Tally = { answered: 0, refused: 0, failed: [], acknowledged: [] };
      const stop = new AbortController();
      const clients = Array.from({ length: CLIENTS }, () => load(home.port, tally, stop.signal));
      const exits: (number | null)[] = [];
      for (let round = 0; round < RESTARTS; round += 1) {
        const node = await home.start();
        await delay(random.int(50, 200));
        const startedMs = performance.now();
        exits.push(await node.stop());
        // Forced at the end of the grace period, which the exit code shows as well.
        expect(performance.now() - startedMs).toBeLessThan(2 * GRACE_MS);
      }
      stop.abort();
      await Promise.all(clients);
      // A node that was forced fails what it had accepted, too.
      expect(exits).toEqual(Array.from({ length: RESTARTS }, () => 0));
      expect(tally.failed).toEqual([]);
      const node = await home.start();
      const known = new Set((await listJobs(node)).map((job) => job.job_id));
      expect(tally.acknowledged.filter((id) => !known.has(id))).toEqual([]);
      console.log(`answered ${tally.answered}, refused while draining or starting ${tally.refused}`);
      expect(tally.acknowledged.length).toBeGreaterThan(RESTARTS);
    },
    figure(300_000, 1_800_000),
  );

  test('containers go on running and are adopted by the next start; streams end properly', async () => {
    await using stack = new AsyncDisposableStack();
    const { driver, home } = await setUp(stack);
    const first = await home.start();
    const { job_id } = await first.rpc('ContainerService.Create', { image: 'test' });
    const before = await first.rpc('JobService.Wait', { job_id, until: 'running' });
    const events = await readStream(home.port, '/v1/events');
    const logs = await readStream(home.port, `/v1/jobs/${job_id}/logs?follow=true`);
    driver.write(before.container_id as never, 'stdout', 'a line\n');
    await Promise.all([events.opened, logs.opened]);
    expect(await first.stop()).toBe(0);
    expect(await events.ended).toMatchObject({ isWhole: true });
    expect(await logs.ended).toMatchObject({ isWhole: true, text: 'a line\n' });
    expect([...driver.instances.values()].map(({ state }) => state)).toEqual(['running']);

    const second = await home.start();
    const after = await second.rpc('JobService.Get', { job_id });
    expect(after).toMatchObject({
      status: 'running',
      container_id: before.container_id,
      attempt: 1,
      restarts: 0,
    });
    driver.exit(before.container_id as never, 9);
    expect(await second.rpc('JobService.Wait', { job_id })).toMatchObject({ status: 'failed', exit_code: 9 });
  });

  test('a client that waits for a job does not hold the node up, and is told why it got no answer', async () => {
    await using stack = new AsyncDisposableStack();
    const { home } = await setUp(stack);
    const node = await home.start();
    const { job_id } = await node.rpc('ContainerService.Create', { image: 'test' });
    await node.rpc('JobService.Wait', { job_id, until: 'running' });
    const waiting = node
      .rpc('JobService.Wait', { job_id, timeout_ms: 60_000 })
      .catch((error: unknown) => error);
    await untilCalls(node, 1);
    const startedMs = performance.now();
    expect(await node.stop()).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(GRACE_MS - 1_000);
    const answer = await waiting;
    expect(answer).toBeInstanceOf(RpcFailure);
    expect(answer).toMatchObject({ reason: 'draining' });
  });

  test('a second SIGTERM ends it at once, with 1', async () => {
    await using stack = new AsyncDisposableStack();
    const { driver, home } = await setUp(stack);
    const node = await home.start();
    using _hang = driver.hang('create');
    const { job_id } = await node.rpc('ContainerService.Create', { image: 'test' });
    await expect.poll(() => driver.calls.create, PATIENCE).toBe(1);
    node.signal('SIGTERM');
    await expect.poll(() => home.log(), PATIENCE).toContain('node drains');
    expect(node.hasExited).toBe(false);
    const startedMs = performance.now();
    node.signal('SIGTERM');
    expect(await node.exited).toMatchObject({ code: 1 });
    expect(performance.now() - startedMs).toBeLessThan(GRACE_MS - 1_000);
    _hang[Symbol.dispose]();

    const next = await home.start();
    expect(await next.rpc('JobService.Wait', { job_id, until: 'running' })).toMatchObject({
      status: 'running',
    });
    expect(driver.instances.size).toBe(1);
  });

  test('what cannot be finished within the grace period is forced, with 1', async () => {
    await using stack = new AsyncDisposableStack();
    const { driver, home } = await setUp(stack);
    const node = await home.start({ env: { CONTAINER_MANAGER_GRACE_PERIOD: '500ms' } });
    using _hang = driver.hang('create');
    await node.rpc('ContainerService.Create', { image: 'test' });
    await expect.poll(() => driver.calls.create, PATIENCE).toBe(1);
    const startedMs = performance.now();
    expect(await node.stop()).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(500 + 5_500);
  });
});

/** Resolves when the node has that many calls in hand besides this one. */
async function untilCalls(node: NodeProcess, count: number): Promise<void> {
  // One turn of the loop: a call that was sent before this one has been read before it.
  for (let turn = 0; turn < count + 1; turn += 1) await httpCall(node.port, { path: '/health' });
}
