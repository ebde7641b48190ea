import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InstancePool, type InstancePoolOptions } from '../../../src/instances/instance-pool.ts';
import type { Lease, LeaseId } from '../../../src/instances/instances.ts';
import type { InstanceTemplate } from '../../../src/instances/template.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { InstanceId } from '../../../src/kernel/ids.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { waitFor } from '../../support/wait-for.ts';

const OPTIONS: InstancePoolOptions = { maxInstances: 10, maxWaiting: 10, idleTimeoutMs: 60_000 };
const SOON_MS = 10_000;
const NEVER = new AbortController().signal;

/** What all fake containers listen on. */
let server: Server;
let port: number;
let harness: JobHarness;
let pools: InstancePool[];

beforeEach(async () => {
  server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  harness = await JobHarness.start();
  pools = [];
});
afterEach(async () => {
  for (const pool of pools) await pool[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
  server.close();
});

function startPool(options: Partial<InstancePoolOptions> = {}): InstancePool {
  const { jobs, log, gate } = harness;
  const deps = { jobs, log, gate, engine: harness.driver, clock: systemClock, logger: SILENT_LOGGER };
  const pool = new InstancePool({ ...OPTIONS, ...options }, deps);
  pools.push(pool);
  pool.start();
  return pool;
}

function template(changes: Partial<InstanceTemplate> = {}): InstanceTemplate {
  return {
    name: 'rosco',
    version: '2.9.4',
    image: TEST_IMAGE,
    imageId: undefined,
    env: {},
    resources: {},
    port,
    probePort: port,
    hostPort: 0,
    sharing: 'exclusive',
    maxConnections: 2,
    maxInstances: 5,
    startTimeoutMs: 5_000,
    stopTimeoutMs: 1_000,
    idleTimeoutMs: 60_000,
    ...changes,
  };
}

const running = (): number =>
  [...harness.fake.instances.values()].filter(({ state }) => state === 'running').length;
const nothingLeft = (): Promise<number> =>
  waitFor('all to be removed', SOON_MS, () => harness.fake.instances.size === 0);

describe('an exclusive instance', () => {
  test('is made for its connection by a job that can be seen, and goes with it', async () => {
    const pool = startPool();
    const lease = await pool.acquire(template(), NEVER);
    expect(lease.upstream).toEqual({ host: '127.0.0.1', port });
    const job = harness.log.require(lease.job);
    expect(job).toMatchObject({ state: 'running', caller: 'front-door', spec: { name: 'rosco' } });
    expect(job.spec.labels).toMatchObject({
      'container-manager.controller': 'rosco',
      'container-manager.controller-version': '2.9.4',
    });
    pool.release(lease.id);
    pool.release(lease.id);
    await nothingLeft();
    await waitFor('its place to be free', SOON_MS, () => pool.count === 0);
    expect(harness.log.get(lease.job)).toBeUndefined();
    expect(harness.fake.calls.create).toBe(1);
  });

  test('is nobody else’s', async () => {
    const pool = startPool();
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(template(), NEVER)));
    expect(new Set(leases.map(({ job }) => job)).size).toBe(3);
    for (const { id } of leases) pool.release(id);
    await nothingLeft();
  });

  test('is not made to its end for a client who has left', async () => {
    const pool = startPool();
    const hang = harness.fake.hang('start');
    const client = new AbortController();
    const acquired = pool.acquire(template(), client.signal);
    await waitFor('its start', SOON_MS, () => harness.fake.calls.start === 1);
    client.abort(new Error('left'));
    await expect(acquired).rejects.toThrow('left');
    hang[Symbol.dispose]();
    await nothingLeft();
    await waitFor('its place to be free', SOON_MS, () => pool.count === 0);
  });

  test('that cannot be started fails whoever waits for it, and leaves nothing', async () => {
    const pool = startPool();
    await expect(pool.acquire(template({ image: 'absent' }), NEVER)).rejects.toMatchObject({
      code: 'start_failed',
      details: { reason: expect.stringMatching(/^image_/) as string },
    });
    await waitFor('its place to be free', SOON_MS, () => pool.count === 0);
    expect(harness.fake.instances.size).toBe(0);
    expect([...harness.log.live()]).toEqual([]);
  });

  test('is not made of an image that has taken the name of the one that was validated', async () => {
    const pool = startPool();
    const { id } = (await harness.fake.findImage(TEST_IMAGE)) ?? { id: '' };
    await expect(pool.acquire(template({ imageId: 'sha256:other' }), NEVER)).rejects.toMatchObject({
      code: 'start_failed',
      retryable: true,
      details: { found: id, validated: 'sha256:other' },
    });
    expect(harness.fake.calls.create).toBe(0);
    const lease = await pool.acquire(template({ imageId: id }), NEVER);
    pool.release(lease.id);
    await nothingLeft();
    await waitFor('both places to be free', SOON_MS, () => pool.count === 0);
  });

  test('of an image that was validated is made once the engine answers again', async () => {
    const pool = startPool();
    const { id: imageId = '' } = (await harness.fake.findImage(TEST_IMAGE)) ?? {};
    harness.fake.failNext('findImage', new RuntimeError('engine_unavailable', 'away'), 2);
    const lease = await pool.acquire(template({ imageId, startTimeoutMs: 20_000 }), NEVER);
    expect(harness.log.require(lease.job).state).toBe('running');
  });

  test('that dies in use is told of once, and removed', async () => {
    const pool = startPool();
    const lost: LeaseId[] = [];
    pool.onLost((lease) => lost.push(lease));
    const lease = await pool.acquire(template(), NEVER);
    const [id] = harness.fake.instances.keys();
    if (id === undefined) throw new Error('one was started');
    harness.fake.exit(id, 139);
    await waitFor('it to be told', SOON_MS, () => lost.length > 0);
    await nothingLeft();
    pool.release(lease.id);
    expect(lost).toEqual([lease.id]);
  });

  test('is removed later when the engine cannot do it now', async () => {
    const pool = startPool();
    const lease = await pool.acquire(template(), NEVER);
    harness.fake.failNext('remove', new RuntimeError('engine_error', 'not now'), 3);
    pool.release(lease.id);
    await nothingLeft();
    await waitFor('its place to be free', SOON_MS, () => pool.count === 0);
  });
});

describe('a shared instance', () => {
  const sharedTemplate = (changes: Partial<InstanceTemplate> = {}): InstanceTemplate =>
    template({ sharing: 'shared', ...changes });

  test('takes as many connections as it has room for, and then there is another', async () => {
    const pool = startPool();
    const leases = await Promise.all([1, 2, 3, 4, 5].map(() => pool.acquire(sharedTemplate(), NEVER)));
    const jobs = leases.map(({ job }) => job);
    const sizes = [...new Set(jobs)].map((job) => jobs.filter((other) => other === job).length);
    expect(sizes.toSorted((a, b) => a - b)).toEqual([1, 2, 2]);
    expect(running()).toBe(3);
  });

  test('stays without a connection for a while, and is used again', async () => {
    const pool = startPool();
    const first = await pool.acquire(sharedTemplate(), NEVER);
    pool.release(first.id);
    const second = await pool.acquire(sharedTemplate(), NEVER);
    expect(second.job).toBe(first.job);
    expect(second.id).not.toBe(first.id);
    pool.release(second.id);
    const third = await pool.acquire(sharedTemplate({ idleTimeoutMs: 50 }), NEVER);
    pool.release(third.id);
    await nothingLeft();
  });

  test('of an image or an environment that has changed is another one', async () => {
    const pool = startPool();
    const before = await pool.acquire(sharedTemplate(), NEVER);
    const after = await pool.acquire(sharedTemplate({ env: { DEBUG_LEVEL: '2' } }), NEVER);
    expect(after.job).not.toBe(before.job);
    const { id: imageId } = (await harness.fake.findImage(TEST_IMAGE)) ?? { id: '' };
    // Made before anything was known of the image, it will do.
    const validated = await pool.acquire(sharedTemplate({ imageId, maxConnections: 3 }), NEVER);
    expect(validated.job).toBe(before.job);
    const made = await pool.acquire(sharedTemplate({ imageId, maxConnections: 1 }), NEVER);
    expect(made.job).not.toBe(before.job);
    // The name stands for another image from now on, of which there is none yet: it is not served by the former.
    const other = sharedTemplate({ imageId: 'sha256:other', maxConnections: 1 });
    await expect(pool.acquire(other, NEVER)).rejects.toMatchObject({ code: 'start_failed' });
  });

  test('goes on over a restart of the node and is taken up again; exclusive ones end', async () => {
    const before = startPool();
    const keep = await before.acquire(sharedTemplate(), NEVER);
    const lose = await before.acquire(template(), NEVER);
    // As a node that was killed: nobody ends anything.
    const after = startPool();
    await waitFor('the exclusive one to be gone', SOON_MS, () => harness.log.get(lose.job) === undefined);
    expect(running()).toBe(1);
    const again = await after.acquire(sharedTemplate(), NEVER);
    expect(again.job).toBe(keep.job);
    expect(again.upstream).toEqual(keep.upstream);
  });

  test('that was found at the start and is used by nobody ends', async () => {
    const before = startPool();
    await before.acquire(sharedTemplate(), NEVER);
    startPool({ idleTimeoutMs: 20 });
    await nothingLeft();
  });
});

describe('warm instances', () => {
  const paused = (): number =>
    [...harness.fake.instances.values()].filter(({ state }) => state === 'paused').length;
  const untilPaused = (count: number): Promise<number> =>
    waitFor(`${count} to be paused`, SOON_MS, () => paused() === count);

  test('are there before anybody asks, go to whoever comes, and are made anew behind them', async () => {
    const pool = startPool();
    pool.keepWarm([{ template: template(), count: 2 }]);
    await untilPaused(2);
    const before = harness.fake.calls.create;
    const lease = await pool.acquire(template(), NEVER);
    expect(harness.fake.calls.create).toBe(before);
    expect(running()).toBe(1);
    await untilPaused(2);
    expect(harness.fake.calls.create).toBe(before + 1);
    pool.release(lease.id);
    pool.keepWarm([]);
    await nothingLeft();
  });

  test('that is taken while it is still being made is not paused under whoever has it', async () => {
    const pool = startPool();
    const hang = harness.fake.hang('start');
    pool.keepWarm([{ template: template(), count: 1 }]);
    await waitFor('its start', SOON_MS, () => harness.fake.calls.start === 1);
    const acquired = pool.acquire(template({ maxInstances: 1 }), NEVER);
    hang[Symbol.dispose]();
    const lease = await acquired;
    pool.keepWarm([]);
    const job = harness.log.require(lease.job);
    expect(harness.fake.instances.get(job.instance?.id as never)?.state).toBe('running');
  });

  test('stay within what may run, and give way to clients of other controllers', async () => {
    const pool = startPool({ maxInstances: 2 });
    pool.keepWarm([{ template: template(), count: 5 }]);
    await untilPaused(2);
    const others = await Promise.all([
      pool.acquire(template({ name: 'other' }), NEVER),
      pool.acquire(template({ name: 'other' }), NEVER),
    ]);
    expect(pool.count).toBe(2);
    for (const { id } of others) pool.release(id);
    await untilPaused(2);
  });

  test('give up one place for each client who needs one, and no more', async () => {
    const pool = startPool({ maxInstances: 3 });
    pool.keepWarm([{ template: template(), count: 2 }]);
    const held = await pool.acquire(template({ name: 'held', sharing: 'shared' }), NEVER);
    await untilPaused(2);
    using hang = harness.fake.hang('remove');
    const other = pool.acquire(template({ name: 'other' }), NEVER);
    await waitFor('it to wait', SOON_MS, () => pool.waitingCount === 1);
    // Each release looks at those who wait again.
    for (let count = 0; count < 3; count += 1) {
      pool.release((await pool.acquire(template({ name: 'held', sharing: 'shared' }), NEVER)).id);
    }
    expect(paused()).toBeLessThanOrEqual(2);
    hang[Symbol.dispose]();
    pool.release((await other).id);
    expect(harness.fake.calls.remove).toBe(1);
    pool.release(held.id);
  });

  test('that are shared are somebody’s from the first connection on', async () => {
    const pool = startPool({ maxInstances: 1 });
    const shared = template({ sharing: 'shared' });
    pool.keepWarm([{ template: shared, count: 1 }]);
    await untilPaused(1);
    const lost: LeaseId[] = [];
    pool.onLost((lease) => lost.push(lease));
    const lease = await pool.acquire(shared, NEVER);
    const other = pool.acquire(template({ name: 'other', startTimeoutMs: 200 }), NEVER);
    await expect(other).rejects.toMatchObject({ code: 'busy' });
    expect(lost).toEqual([]);
    expect(harness.log.require(lease.job).state).toBe('running');
  });

  test('of what is no longer wished end, those of what is still are kept', async () => {
    const pool = startPool();
    pool.keepWarm([
      { template: template(), count: 2 },
      { template: template({ name: 'other' }), count: 1 },
    ]);
    await untilPaused(3);
    pool.keepWarm([{ template: template(), count: 1 }]);
    await untilPaused(1);
    expect(harness.fake.calls.create).toBe(3);
  });

  test('that cannot be made are tried again, ever more seldom, and disturb nobody', async () => {
    const pool = startPool();
    harness.fake.removeImage(TEST_IMAGE);
    pool.keepWarm([{ template: template(), count: 1 }]);
    await waitFor('a first try to fail', SOON_MS, () => harness.fake.calls.pullImage > 0);
    harness.fake.addImage(TEST_IMAGE);
    await untilPaused(1);
  });

  test('that cannot be woken are replaced, for whoever came, too', async () => {
    const pool = startPool();
    pool.keepWarm([{ template: template(), count: 1 }]);
    await untilPaused(1);
    harness.fake.failNext('unpause', new RuntimeError('engine_error', 'no'));
    const { create } = harness.fake.calls;
    const lease = await pool.acquire(template(), NEVER);
    expect(harness.log.get(lease.job)?.state).toBe('running');
    expect(harness.fake.calls.create).toBeGreaterThan(create);
    await untilPaused(1);
  });

  test('that died while they were kept are replaced as well', async () => {
    const pool = startPool();
    pool.keepWarm([{ template: template(), count: 1 }]);
    await untilPaused(1);
    // Nobody has heard of it yet.
    const [died] = [...harness.fake.instances.keys()];
    harness.fake.exit(died as InstanceId, 137);
    const lease = await pool.acquire(template(), NEVER);
    expect(harness.log.get(lease.job)?.instance?.id).not.toBe(died);
    expect(harness.log.get(lease.job)?.state).toBe('running');
  });

  test('are woken once the engine answers again', async () => {
    const pool = startPool();
    pool.keepWarm([{ template: template(), count: 1 }]);
    await untilPaused(1);
    const { create } = harness.fake.calls;
    harness.fake.failNext('unpause', new RuntimeError('engine_unavailable', 'away'));
    await pool.acquire(template(), NEVER);
    expect(harness.fake.calls.create).toBe(create);
  });

  test('are removed when the node stops', async () => {
    const pool = startPool();
    pool.keepWarm([{ template: template(), count: 2 }]);
    await untilPaused(2);
    await pool.close(NEVER);
    expect(harness.fake.instances.size).toBe(0);
  });
});

describe('bounds', () => {
  test('beyond as many as may run clients wait, in turn, and are served as others go', async () => {
    const pool = startPool();
    const one = template({ maxInstances: 1 });
    const order: number[] = [];
    const first = await pool.acquire(one, NEVER);
    const waits = [0, 1, 2].map(async (index) => {
      const lease = await pool.acquire(one, NEVER);
      order.push(index);
      pool.release(lease.id);
    });
    await waitFor('all to wait', SOON_MS, () => pool.waitingCount === 3);
    expect(running()).toBe(1);
    pool.release(first.id);
    await Promise.all(waits);
    expect(order).toEqual([0, 1, 2]);
    await nothingLeft();
  });

  test('of all kinds together', async () => {
    const pool = startPool({ maxInstances: 1, maxWaiting: 1 });
    const held = await pool.acquire(template(), NEVER);
    const other = pool.acquire(template({ name: 'other' }), NEVER);
    await waitFor('it to wait', SOON_MS, () => pool.waitingCount === 1);
    await expect(pool.acquire(template({ name: 'third' }), NEVER)).rejects.toMatchObject({
      code: 'busy',
      retryable: true,
      details: { limit: 1 },
    });
    pool.release(held.id);
    pool.release((await other).id);
    await nothingLeft();
  });

  test('waiting and starting together take no longer than a client may wait', async () => {
    const pool = startPool({ maxInstances: 1 });
    const held = await pool.acquire(template(), NEVER);
    const startedMs = performance.now();
    const waits = pool.acquire(template({ startTimeoutMs: 600 }), NEVER);
    waits.catch(() => undefined);
    await waitFor('it to wait', SOON_MS, () => performance.now() - startedMs > 400);
    using _hang = harness.fake.hang('start');
    pool.release(held.id);
    await expect(waits).rejects.toMatchObject({ retryable: true });
    expect(performance.now() - startedMs).toBeLessThan(1_100);
  });

  test('who waits too long is told when to come again', async () => {
    const pool = startPool({ maxInstances: 1 });
    await pool.acquire(template(), NEVER);
    const failure = await pool
      .acquire(template({ startTimeoutMs: 50 }), NEVER)
      .catch((error: unknown) => error as { code: string; retryAfterMs: number });
    expect(failure).toMatchObject({ code: 'busy', details: { waited_ms: 50 } });
    expect((failure as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(0);
    expect(pool.waitingCount).toBe(0);
  });

  test('who leaves while waiting gives the place to the next, never to nobody', async () => {
    const pool = startPool({ maxInstances: 1 });
    const held = await pool.acquire(template(), NEVER);
    const leaver = new AbortController();
    const left = pool.acquire(template(), leaver.signal);
    const stays = pool.acquire(template(), NEVER);
    await waitFor('both to wait', SOON_MS, () => pool.waitingCount === 2);
    pool.release(held.id);
    leaver.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    pool.release((await stays).id);
    await nothingLeft();
  });
});

describe('a node that stops', () => {
  test('makes nothing new, tells those who wait, and removes what is exclusive alone', async () => {
    const pool = startPool({ maxInstances: 2 });
    const exclusive = await pool.acquire(template(), NEVER);
    const shared: Lease = await pool.acquire(template({ sharing: 'shared' }), NEVER);
    const waiting = pool.acquire(template(), NEVER);
    await waitFor('it to wait', SOON_MS, () => pool.waitingCount === 1);
    pool.drain();
    await expect(waiting).rejects.toMatchObject({ code: 'draining' });
    await expect(pool.acquire(template(), NEVER)).rejects.toMatchObject({ code: 'draining' });
    await pool.close(NEVER);
    expect(harness.log.get(exclusive.job)).toBeUndefined();
    expect(harness.log.get(shared.job)).toMatchObject({ state: 'running' });
  });

  test('that is forced waits for no removal; the next start does it', async () => {
    const pool = startPool();
    const lease = await pool.acquire(template(), NEVER);
    const hang = harness.fake.hang('stop');
    await pool.close(AbortSignal.abort());
    expect(harness.log.get(lease.job)).toBeDefined();
    hang[Symbol.dispose]();
    await nothingLeft();
  });
});
