import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/jobs/errors.ts';
import type { Job } from '../../../src/jobs/job.ts';
import type { Courier } from '../../../src/jobs/placement/delivery.ts';
import type { EndOptions } from '../../../src/jobs/placement/host.ts';
import { MAX_ENDINGS, MAX_PLACEMENTS, Outbox } from '../../../src/jobs/placement/outbox.ts';
import type { OutboxStore, Placement, PlacementWish } from '../../../src/jobs/placement/outbox-store.ts';
import { PendingAnswer } from '../../../src/jobs/placement/pending-answer.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { newJobId, type JobId, type NodeId } from '../../../src/kernel/ids.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';

const NODE = 'B' as NodeId;
const spec = jobSpecSchema.parse({ image: 'x' });

function placementOf(wish: PlacementWish, target = NODE): Placement {
  const request = { spec, caller: 'local', idempotencyKey: undefined };
  return { id: newJobId(0), target, createdAtMs: 0, wish, request };
}

class MemoryOutboxStore implements OutboxStore {
  readonly rows = new Map<JobId, Placement>();

  placements(): Placement[] {
    return [...this.rows.values()];
  }

  async savePlacement(placement: Placement): Promise<void> {
    this.rows.set(placement.id, placement);
    await Promise.resolve();
  }

  async dropPlacement(id: JobId): Promise<void> {
    this.rows.delete(id);
    await Promise.resolve();
  }
}

/** An outbox whose node is away until a test says otherwise. */
class OutboxHarness implements AsyncDisposable {
  readonly clock = new SteppedClock();
  readonly store = new MemoryOutboxStore();
  readonly ends: EndOptions[] = [];
  answer: (placement: JobId) => Promise<Job> = () =>
    Promise.reject(new JobError('peer_unreachable', 'it is away', { retryable: true }));
  tries = 0;
  connect: (node: NodeId) => void = () => undefined;
  readonly outbox = this.open();

  open(): Outbox {
    const courier: Courier = {
      accept: async (_node, id) => {
        this.tries += 1;
        return { job: await this.answer(id), deduplicated: false };
      },
      end: async (_node, id, how) => {
        this.tries += 1;
        this.ends.push(how);
        return this.answer(id);
      },
    };
    const outbox = new Outbox({
      store: this.store,
      courier,
      members: {
        subscribe: (listener) => {
          this.connect = (node) => listener(node, true);
          return { [Symbol.dispose]: () => undefined };
        },
      },
      clock: this.clock,
      logger: SILENT_LOGGER,
    });
    outbox.resume();
    return outbox;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.outbox[Symbol.asyncDispose]();
  }
}

describe('the outbox', () => {
  it('refuses one job more than may be on their way, whatever is to be ended elsewhere', async () => {
    await using harness = new OutboxHarness();
    const { outbox } = harness;
    for (let count = 0; count < MAX_PLACEMENTS + 10; count += 1) await outbox.send(placementOf('remove'));
    for (let count = 0; count < MAX_PLACEMENTS; count += 1) await outbox.send(placementOf('run'));
    await expect(outbox.send(placementOf('run'))).rejects.toMatchObject({ code: 'queue_full' });
    const [first] = outbox.placements().filter(({ wish }) => wish === 'run');
    await outbox.end(first?.id as JobId, false);
    await outbox.send(placementOf('run'));
  });

  it('gives up the oldest end when more are asked for than may be', async () => {
    await using harness = new OutboxHarness();
    const { outbox, store } = harness;
    const oldest = placementOf('remove');
    const answer = await outbox.send(oldest);
    for (let count = 1; count < MAX_ENDINGS; count += 1) await outbox.send(placementOf('end'));
    expect(outbox.find(oldest.id)).toEqual(oldest);
    await outbox.send(placementOf('end'));
    await settle();
    expect(await answer.wait()).toEqual({ kind: 'ended', job: undefined });
    expect(outbox.find(oldest.id)).toBeUndefined();
    expect(store.rows.size).toBe(MAX_ENDINGS);
    expect(store.rows.has(oldest.id)).toBe(false);
  });

  it('gives up all that is on its way to a node that is forgotten, and asks it no more', async () => {
    await using harness = new OutboxHarness();
    const { outbox, store } = harness;
    const answers = [];
    for (const wish of ['run', 'end', 'remove'] as const) answers.push(await outbox.send(placementOf(wish)));
    const other = placementOf('run', 'C' as NodeId);
    await outbox.send(other);
    const remembered = await outbox.send(placementOf('run'), { isRemembered: true });
    await outbox.forget(NODE);
    for (const answer of [...answers, remembered])
      expect(await answer.wait()).toEqual({ kind: 'ended', job: undefined });
    expect(store.placements()).toEqual([other]);
    const { tries } = harness;
    await harness.clock.advance(1_000);
    harness.connect(NODE);
    await settle();
    expect(harness.tries - tries).toBeLessThanOrEqual(3);
    expect(outbox.placements()).toEqual([other]);
  });

  it('asks a node that is back at once, and soon again should it not be ready', async () => {
    await using harness = new OutboxHarness();
    const answer = await harness.outbox.send(placementOf('run'));
    await harness.clock.advance(600_000);
    harness.tries = 0;
    harness.connect(NODE);
    await settle();
    expect(harness.tries).toBe(1);
    await harness.clock.advance(250);
    expect(harness.tries).toBe(2);
    harness.answer = (id) => Promise.resolve({ id } as Job);
    await harness.clock.advance(500);
    expect(await answer.wait()).toMatchObject({ kind: 'accepted' });
    expect(harness.clock.pending).toBe(0);
  });

  it('asks on over a restart, with the last wish', async () => {
    const harness = new OutboxHarness();
    const placement = placementOf('run');
    await harness.outbox.send(placement);
    await harness.outbox.end(placement.id, false, 5);
    await settle();
    expect(harness.ends.at(-1)).toEqual({ removes: false, graceMs: 5 });
    await harness[Symbol.asyncDispose]();
    await using again = harness.open();
    expect(again.find(placement.id)).toMatchObject({ wish: 'end' });
    await settle();
    expect(harness.ends.at(-1)).toEqual({ removes: false });
  });
});

describe('an answer that is pending', () => {
  it('keeps nothing of those who have left', async () => {
    const answer = new PendingAnswer<number>();
    const leave = new AbortController();
    const left = Array.from({ length: 5 }, () => answer.wait(leave.signal));
    const staying = answer.wait();
    leave.abort(new Error('gone'));
    for (const each of left) await expect(each).rejects.toThrow('gone');
    expect(answer.waitingCount).toBe(1);
    answer.settle(7);
    answer.settle(8);
    expect(await staying).toBe(7);
    expect(await answer.wait(leave.signal)).toBe(7);
    expect(answer.waitingCount).toBe(0);
  });
});
