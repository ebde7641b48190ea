import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { fakeEngine, JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

test('what was begun before a restart goes before what waits, so that no more run than may', async () => {
  const driver = fakeEngine();
  const options = { options: { maxRunning: 1, workerCount: 1 } };
  const first = await JobHarness.start({ driver, ...options });
  const hang = driver.hang('inspect');
  const begun = await first.create();
  await expect
    .poll(() => [...driver.instances.values()].map(({ state }) => state), PATIENCE)
    .toEqual(['running']);
  const waiting = await first.create({ priority: 10 });
  expect(first.log.require(begun.id).state).toBe('starting');

  await using second = await first.restart(options).finally(() => hang[Symbol.dispose]());
  using _directory = {
    [Symbol.dispose]: () => rmSync(first.directory, { recursive: true, force: true }),
  };
  await second.reach(begun.id, 'running');
  expect(second.log.require(waiting.id).state).toBe('pending');
  expect(driver.instances.size).toBe(1);
  await second.jobs.stop(begun.id);
  await second.reach(waiting.id, 'running');
});

test('a leftover that the engine cannot remove keeps nobody else from being looked at', async () => {
  // No event is ever seen: only lists tell.
  const driver = new FakeDriver({ dropEvents: 1 });
  driver.addImage(TEST_IMAGE);
  await using harness = await JobHarness.start({ driver, options: { reapGraceMs: 0 } });
  const jobs = [await harness.create(), await harness.create(), await harness.create()];
  for (const { id } of jobs) await harness.reach(id, 'running');
  const [stuck, ...others] = jobs.map(({ id }) => harness.instanceId(id));
  // The first one's job ends without its container, which then cannot be removed.
  driver.failNext('remove', new RuntimeError('engine_error', 'device or resource busy'), 1_000);
  await harness.log.change(jobs[0]!.id, () => ({ to: 'failed' }));
  for (const id of others) driver.exit(id, 0);
  for (const { id } of jobs.slice(1)) await harness.reach(id, 'complete');
  expect(driver.instances.has(stuck!)).toBe(true);
  expect(harness.gate.isAvailable).toBe(true);
});
