import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeEngine, json } from '../../support/fake-engine.ts';
import { NodeHome } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Far below the minute for which a node waits for an engine that says nothing. */
const SOON_MS = 20_000;

let engine: FakeEngine;
let home: NodeHome;

beforeEach(async () => {
  engine = await FakeEngine.start();
  engine.on('GET', /^\/version$/, () => undefined);
  engine.on('GET', /^\/containers\/json$/, json(200, []));
  home = await NodeHome.create({ settings: { 'docker.host': engine.host } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

const beingAsked = (): Promise<number> =>
  waitFor('the engine to be asked', SOON_MS, () => engine.requests.length > 0);

test('a node that starts answers probes, accepts nothing, and ends at the first signal', async () => {
  const node = home.spawn();
  await node.untilAnswering();
  await beingAsked();
  const ready = await node.get('/ready');
  expect(ready.status).toBe(503);
  expect(JSON.parse(ready.text)).toMatchObject({ problems: { jobs: 'not started yet' } });
  await expect(node.rpc('ContainerService.Create', { image: 'app' })).rejects.toMatchObject({
    code: -32015,
    reason: 'starting',
  });
  expect(await node.get('/jobs')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  const startedMs = performance.now();
  expect(await node.stop()).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(SOON_MS / 2);
});

test('a port that is taken ends a start before the engine is asked for anything', async () => {
  const taken = createServer().listen(home.port, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const node = home.spawn();
    expect(await node.exited).toEqual({ code: 1, signal: null });
    expect(home.log()).toContain(`port ${home.port} is in use`);
    expect(engine.requests).toEqual([]);
  } finally {
    taken.close();
  }
});
