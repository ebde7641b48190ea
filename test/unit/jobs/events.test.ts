import { describe, expect, it } from 'vitest';
import type { Job, JobEvent } from '../../../src/jobs/job.ts';
import { HURRIED_CLOCK } from '../../support/hurried-clock.ts';
import { JobHarness } from '../../support/job-harness.ts';

async function take(events: AsyncIterable<JobEvent>, count: number): Promise<JobEvent[]> {
  const taken: JobEvent[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

describe('events', () => {
  it('come in the order of the log, and can be resumed after any of them', async () => {
    await using harness = await JobHarness.start();
    const abort = new AbortController();
    const live = take(harness.jobs.events({ signal: abort.signal }), 12);
    await Promise.all(Array.from({ length: 3 }, () => harness.create({ arguments: ['exit', '0'] })));
    const all = await live;
    expect(all.map((event) => event.seq)).toEqual(all.map((_event, index) => index + 1));
    for (const [index, event] of all.entries()) {
      if (index === all.length - 1) break;
      const resumed = await take(
        harness.jobs.events({ after: event, signal: abort.signal }),
        all.length - index - 1,
      );
      expect(resumed).toEqual(all.slice(index + 1));
    }
  });

  it('go on over a restart of the node', async () => {
    await using first = await JobHarness.start();
    const job = await first.create({ arguments: ['exit', '0'] });
    const { epoch } = await first.reach(job.id, 'complete');
    await using second = await first.restart();
    const abort = new AbortController();
    const types = (await take(second.jobs.events({ after: { epoch, seq: 1 }, signal: abort.signal }), 3)).map(
      (event) => event.type,
    );
    expect(types).toEqual(['starting', 'running', 'complete']);
  });

  it('that are not kept any more are refused', async () => {
    await using harness = await JobHarness.start();
    const abort = new AbortController();
    const from = (after: { epoch: number; seq: number }) =>
      take(harness.jobs.events({ after, signal: abort.signal }), 1);
    await expect(from({ epoch: 9, seq: 1 })).rejects.toMatchObject({ code: 'invalid_state' });
    await expect(from({ epoch: harness.store.epoch, seq: 99 })).rejects.toMatchObject({
      code: 'invalid_state',
    });
    const job = await harness.create({ arguments: ['exit', '0'] });
    await harness.reach(job.id, 'complete');
    await harness.jobs.remove(job.id);
    await harness.store.compact(Date.now() + 1);
    await expect(from({ epoch: harness.store.epoch, seq: 1 })).rejects.toMatchObject({
      code: 'invalid_state',
    });
  });

  it('that were forgotten before a slow subscriber came to them end its stream, with a word', async () => {
    await using harness = await JobHarness.start();
    const abort = new AbortController();
    const events = harness.jobs.events({ signal: abort.signal })[Symbol.asyncIterator]();
    const first = events.next();
    const job = await harness.create({ arguments: ['exit', '0'] });
    expect((await first).value).toMatchObject({ type: 'pending' });
    await harness.reach(job.id, 'complete');
    await harness.jobs.remove(job.id);
    await harness.store.compact(Date.now() + 1);
    const rest: Promise<unknown> = (async () => {
      for (;;) await events.next();
    })();
    await expect(rest).rejects.toMatchObject({ code: 'invalid_state' });
  });

  it('end when the subscriber leaves', async () => {
    await using harness = await JobHarness.start();
    const abort = new AbortController();
    const done = take(harness.jobs.events({ signal: abort.signal }), 1);
    abort.abort();
    expect(await done).toEqual([]);
  });
});

describe('retention', () => {
  it(
    'removes ended jobs when their time is over, and beyond the count, with their containers',
    { timeout: 60_000 },
    async () => {
      await using harness = await JobHarness.start({
        clock: HURRIED_CLOCK,
        options: { retention: { keepCount: 2, keepMs: 3_600_000, tombstoneMs: 1 } },
      });
      const short = await harness.create({ arguments: ['exit', '0'], ttl_after_finished: 0 });
      await harness.reach(short.id, 'complete');
      const others: Job[] = [];
      for (let index = 0; index < 4; index += 1) {
        const job = await harness.create({ arguments: ['exit', '0'] });
        others.push(await harness.reach(job.id, 'complete'));
      }
      // A job goes after its container, once that is on disk.
      const kept = (): boolean[] => others.map((job) => harness.log.get(job.id) !== undefined);
      await expect.poll(kept, { timeout: 40_000, interval: 100 }).toEqual([false, false, true, true]);
      expect(harness.fake.instances.size).toBe(2);
    },
  );
});
