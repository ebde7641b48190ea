import { describe, expect, it } from 'vitest';
import { ImageWatch } from '../../../src/catalog/discovery/image-watch.ts';
import { Upkeep } from '../../../src/catalog/upkeep.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { PATIENCE } from '../../support/patience.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const logger = SILENT_LOGGER;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what is done in the background', () => {
  it('is done one after the other, in order, once for however many ask', async () => {
    const done: string[] = [];
    const note = (name: string) => async () => void done.push(name);
    await using upkeep = new Upkeep(
      { first: note('first'), second: note('second') },
      { clock: systemClock, logger },
    );
    upkeep.want('second', 'second');
    upkeep.want('first');
    await settled();
    expect(done.sort()).toEqual(['first', 'second']);
    upkeep.want('second', 'first');
    await settled();
    expect(done.slice(2)).toEqual(['first', 'second']);
  });

  it('is done once more when it is asked for meanwhile, be it at the last moment', async () => {
    let times = 0;
    await using upkeep = new Upkeep(
      {
        task: async () => {
          times += 1;
          if (times < 50) queueMicrotask(() => queueMicrotask(() => upkeep.want('task')));
        },
      },
      { clock: systemClock, logger },
    );
    upkeep.want('task');
    await expect.poll(() => times, PATIENCE).toBe(50);
  });

  it('is tried again after a while when it fails, and keeps nothing else from being done', async () => {
    const clock = new VirtualClock();
    let tries = 0;
    let others = 0;
    await using upkeep = new Upkeep(
      {
        failing: async () => {
          tries += 1;
          if (tries < 4) throw new Error('not yet');
        },
        other: async () => void (others += 1),
      },
      { clock, logger },
    );
    upkeep.want('failing', 'other');
    await settled();
    expect([tries, others]).toEqual([1, 1]);
    await clock.pass(1_000);
    expect(tries).toBe(2);
    await clock.pass(2_000);
    await clock.pass(4_000);
    expect([tries, others]).toEqual([4, 1]);
    await clock.pass(600_000);
    expect(tries).toBe(4);
  });

  it('waits while the engine is away, and is not begun', async () => {
    let times = 0;
    const back = Promise.withResolvers<void>();
    const whenAvailable = (): Promise<void> => back.promise;
    await using upkeep = new Upkeep(
      { task: async () => void (times += 1) },
      { clock: systemClock, logger, whenAvailable },
    );
    upkeep.want('task');
    await settled();
    expect(times).toBe(0);
    back.resolve();
    await settled();
    expect(times).toBe(1);
  });

  it('ends when it is disposed, with its signal', async () => {
    let reason: unknown;
    const upkeep = new Upkeep(
      {
        task: (signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reason = signal.reason;
              reject(signal.reason as Error);
            });
          }),
      },
      { clock: systemClock, logger },
    );
    upkeep.want('task');
    await upkeep[Symbol.asyncDispose]();
    expect(reason).toBeInstanceOf(DOMException);
    upkeep.want('task');
    await settled();
  });
});

describe('the watch of images', () => {
  it('hints once after a subscription, and once after some events; and subscribes again', async () => {
    const clock = new VirtualClock();
    const driver = new FakeDriver();
    let hints = 0;
    await using _watch = new ImageWatch(() => (hints += 1), { driver, clock, logger });
    await clock.pass(0);
    expect(hints).toBe(1);
    for (const name of ['a:1', 'b:1', 'c:1']) driver.addImage(name);
    await clock.pass(0);
    await clock.pass(499);
    expect(hints).toBe(1);
    await clock.pass(1);
    expect(hints).toBe(2);
    driver.cutEvents();
    await clock.pass(0);
    await clock.pass(1_000);
    expect(hints).toBe(3);
    driver.setAvailable(false);
    await clock.pass(0);
    await clock.pass(120_000);
    expect(hints).toBe(3);
    driver.setAvailable(true);
    await clock.pass(30_000);
    expect(hints).toBe(4);
  });
});
