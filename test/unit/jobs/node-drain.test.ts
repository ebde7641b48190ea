import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { NodeDrain } from '../../../src/jobs/node-drain.ts';
import { FileDrainMark } from '../../../src/store/drain-mark.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { JobHarness } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'cm-drain-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
});

function drainOf({ jobs }: JobHarness): NodeDrain {
  return new NodeDrain({ jobs, mark: new FileDrainMark(dataDir), logger: SILENT_LOGGER });
}

describe('a drained node', () => {
  it('accepts no job, says how to undo that, and goes on with those that it has', async () => {
    await using harness = await JobHarness.start({ options: { workerCount: 1 } });
    const drain = drainOf(harness);
    const blocked = harness.fake.hang('create');
    const working = await harness.create();
    await expect.poll(() => harness.jobs.queue().working, PATIENCE).toBe(1);
    const waiting = await harness.create();
    drain.drain();
    const before = harness.store.lastSeq;
    await expect(harness.create()).rejects.toMatchObject({
      code: 'draining',
      message: expect.stringContaining('container-manager node undrain') as string,
      retryable: true,
    });
    expect(harness.store.lastSeq).toBe(before);
    expect(harness.jobs.queue()).toMatchObject({ isDraining: true, isPaused: false, waiting: 1, working: 1 });
    blocked[Symbol.dispose]();
    await harness.reach(working.id, 'running');
    await harness.reach(waiting.id, 'running');
    drain.undrain();
    await harness.reach((await harness.create()).id, 'running');
    expect(harness.jobs.queue().isDraining).toBe(false);
  });

  it('still tells of a job that it has under the same idempotency key', async () => {
    await using harness = await JobHarness.start();
    const first = await harness.create({ idempotency_key: 'k' });
    drainOf(harness).drain();
    expect((await harness.create({ idempotency_key: 'k' })).id).toBe(first.id);
  });

  it('is drained after a restart, until it is undrained', async () => {
    await using first = await JobHarness.start();
    drainOf(first).drain();
    await using second = await first.restart();
    const drain = drainOf(second);
    expect(drain.isDrained).toBe(true);
    await expect(second.create()).rejects.toMatchObject({ code: 'draining' });
    drain.undrain();
    await using third = await second.restart();
    expect(drainOf(third).isDrained).toBe(false);
    await third.create();
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it('twice is as once', async () => {
    await using harness = await JobHarness.start();
    const drain = drainOf(harness);
    drain.undrain();
    drain.drain();
    drain.drain();
    expect(readdirSync(dataDir)).toEqual(['drained']);
  });
});
