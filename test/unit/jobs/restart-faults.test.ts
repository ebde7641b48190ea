import { expect, test } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

const SLOW_RECONCILE = { options: { reconcileIntervalMs: 60_000 } };
const FAILS = { arguments: ['wait', '20', 'exit', '4'], restart: { policy: 'on-failure', max_attempts: 2 } };

test('a container that exits at once after its restart is seen without waiting for the reconcile', async () => {
  await using harness = await JobHarness.start(SLOW_RECONCILE);
  const spec = { arguments: ['exit', '4'], restart: { policy: 'on-failure', max_attempts: 2 } };
  const job = await harness.create(spec);
  const ended = await harness.reach(job.id, 'failed');
  expect(ended).toMatchObject({ restarts: 2, outcome: { reason: 'restarts_exhausted', exitCode: 4 } });
});

test('a restart that meets a dead engine is made when the engine is back', async () => {
  await using harness = await JobHarness.start();
  const job = await harness.create(FAILS);
  await harness.until(job.id, (now) => now.notBeforeMs !== undefined, 'a restart to be due');
  harness.fake.setAvailable(false);
  await expect.poll(() => harness.gate.isAvailable, PATIENCE).toBe(false);
  const due = harness.log.require(job.id).notBeforeMs ?? 0;
  await expect.poll(() => Date.now() > due, PATIENCE).toBe(true);
  harness.fake.setAvailable(true);
  const ended = await harness.reach(job.id, 'failed');
  expect(ended.restarts).toBe(2);
  expect(harness.fake.calls.start).toBeGreaterThanOrEqual(3);
});

test('a restart whose reply is lost is not made twice, although the container has exited again', async () => {
  await using harness = await JobHarness.start();
  const job = await harness.create(FAILS);
  await harness.until(job.id, (now) => now.notBeforeMs !== undefined, 'a restart to be due');
  harness.fake.loseReply('start');
  const startsBefore = harness.fake.calls.start;
  const ended = await harness.reach(job.id, 'failed');
  expect(ended.restarts).toBe(2);
  expect(harness.fake.calls.start - startsBefore).toBe(2);
});

test('an engine that fails to restart a container is asked again, as often as the spec allows', async () => {
  await using harness = await JobHarness.start();
  const job = await harness.create(FAILS);
  await harness.until(job.id, (now) => now.notBeforeMs !== undefined, 'a restart to be due');
  harness.fake.failNext('start', new RuntimeError('engine_error', 'the engine is going down'));
  const ended = await harness.reach(job.id, 'failed');
  expect(ended).toMatchObject({ restarts: 2, outcome: { reason: 'restarts_exhausted', exitCode: 4 } });
});
