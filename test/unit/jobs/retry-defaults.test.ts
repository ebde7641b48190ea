import { describe, expect, it } from 'vitest';
import { JobHarness, TEST_DEFAULTS } from '../../support/job-harness.ts';

describe('what a spec says about retries', () => {
  it.each([
    [{ backoff: 1 }, TEST_DEFAULTS.retryAttempts],
    [{}, TEST_DEFAULTS.retryAttempts],
    [{ attempts: 2 }, 2],
  ])('leaves the rest to the defaults of the node: %j', async (retry, attempts) => {
    await using harness = await JobHarness.start();
    harness.fake.addRemoteImage('slow', { durationMs: 60_000 });
    const job = await harness.create({ image: 'slow', timeouts: { pull: 1 }, retry });
    expect(job.spec.retry).toEqual(retry);
    expect((await harness.reach(job.id, 'failed')).attempt).toBe(attempts);
  });
});
