import { expect, test } from 'vitest';
import { type DoorHarness, startDoor } from '../../integration/frontdoor/door-harness.ts';
import { figure } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Crowd } from './support/crowd.ts';
import { handshakeFor, nothingLeft } from './support/requests.ts';

const SOON_MS = figure(30_000, 120_000);
const CLIENTS = figure(400, 10_000);
/** As many connections as one process may have are shared by clients and containers. */
const MAX_SESSIONS = figure(250, 4_000);
const ENTRIES = figure(40, 500);
const MAX_RUNNING = figure(5, 20);
const MAX_WAITING = figure(30, 256);

/** The most containers that there were at any time. */
function watchContainers({ jobs: { fake } }: DoorHarness): () => number {
  const create = fake.create.bind(fake);
  let most = 0;
  fake.create = async (plan) => {
    const id = await create(plan);
    most = Math.max(most, fake.instances.size);
    return id;
  };
  return () => most;
}

test(`F7: ${CLIENTS} clients at once for one shared controller that does not run start it once`, async () => {
  const harness = await startDoor({
    door: { maxSessions: MAX_SESSIONS },
    api: { limits: { maxConnections: 2 * CLIENTS } },
    entries: [
      { sharing: 'shared', max_connections: MAX_SESSIONS, idle_timeout: '100ms', start_timeout: '2m' },
    ],
  });
  const { fake } = harness.jobs;
  // It takes its time: until all of them have come.
  const hang = fake.hang('start');
  const requests = Array.from({ length: CLIENTS }, () => handshakeFor('/ws'));
  await using crowd = new Crowd({ port: harness.port, requests });
  const turnedAway = CLIENTS - MAX_SESSIONS;
  await waitFor('all of them to come', SOON_MS, () => harness.refused.length === turnedAway);
  hang[Symbol.dispose]();
  expect(await crowd.answers).toEqual({
    statuses: { '101': MAX_SESSIONS, '503': turnedAway },
    toldWhen: turnedAway,
  });
  expect(harness.door.sessionCount).toBe(MAX_SESSIONS);
  expect([fake.calls.create, fake.calls.start, fake.instances.size]).toEqual([1, 1, 1]);
  await crowd[Symbol.asyncDispose]();
  await nothingLeft(harness);
  expect(fake.calls.create).toBe(1);
});

test(`F7: ${CLIENTS} clients at once for ${ENTRIES} controllers never have more than ${MAX_RUNNING} containers`, async () => {
  const harness = await startDoor({
    door: { maxSessions: CLIENTS },
    pool: { maxInstances: MAX_RUNNING, maxWaiting: MAX_WAITING },
    api: { limits: { maxConnections: 2 * CLIENTS } },
    entries: Array.from({ length: ENTRIES }, (_, index) => ({
      id: `c${index}`,
      sharing: index % 2 === 0 ? ('shared' as const) : ('exclusive' as const),
      idle_timeout: '50ms',
      start_timeout: '2m',
    })),
  });
  const mostContainers = watchContainers(harness);
  const requests = Array.from({ length: CLIENTS }, (_, index) =>
    handshakeFor(`/ws?controller=c${index % ENTRIES}`),
  );
  await using crowd = new Crowd({ port: harness.port, requests, stayMs: 20 });
  const { statuses, toldWhen } = await crowd.answers;
  const { '101': ledCount = 0, '503': turnedAway = 0 } = statuses;
  expect(ledCount + turnedAway).toBe(CLIENTS);
  expect(toldWhen).toBe(turnedAway);
  console.log(
    `${ledCount} led, ${turnedAway} to come again, ${harness.jobs.fake.calls.create} containers in turn`,
  );
  // Those that wait are led in the end: more than fit at once.
  expect(ledCount).toBeGreaterThanOrEqual(MAX_RUNNING + MAX_WAITING);
  expect(mostContainers()).toBe(MAX_RUNNING);
  await nothingLeft(harness);
});
