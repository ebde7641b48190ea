import { expect, test } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { HURRIED_CLOCK } from '../../support/hurried-clock.ts';
import { fakeEngine, JobHarness } from '../../support/job-harness.ts';

test('a name that an abandoned create still holds is waited for, and its container adopted', async () => {
  const driver = fakeEngine();
  await using harness = await JobHarness.start({ driver, clock: HURRIED_CLOCK });
  // The engine has the name before it has the container: a create conflicts, and there is nothing to inspect yet.
  driver.failNext('create', new RuntimeError('name_conflict', 'the name is in use'), 6);
  const job = await harness.create();
  const running = await harness.reach(job.id, 'running');
  expect(running.attempt).toBe(1);
  expect(driver.instances.size).toBe(1);
});

test('a name that stays taken by nobody fails the job in the end', async () => {
  const driver = fakeEngine();
  await using harness = await JobHarness.start({ driver, clock: HURRIED_CLOCK });
  driver.failNext('create', new RuntimeError('name_conflict', 'the name is in use'), 100);
  const job = await harness.create();
  expect(await harness.reach(job.id, 'failed')).toMatchObject({
    outcome: { reason: 'name_conflict' },
  });
});
