import { describe, expect, it } from 'vitest';
import type { InstancePlan } from '../../../src/runtime/driver.ts';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { type Behaviour, describeRuntimeDriver } from '../../conformance/runtime-driver.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { leastMs } from '../../support/least-time.ts';

const LABELS = { suite: 'fake' };
let count = 0;

function plan(behaviour: Behaviour = {}): InstancePlan {
  count += 1;
  return {
    name: `fake-${count}`,
    image: 'app:1',
    entrypoint: undefined,
    arguments: words(behaviour),
    env: {},
    labels: LABELS,
    workingDir: undefined,
    user: undefined,
    hasCapabilities: true,
    files: 'writable',
    network: 'none',
    ports: [],
    memoryBytes: 64 * 1024 ** 2,
    cpus: 1,
    pids: 64,
    stopSignal: undefined,
    healthcheck: undefined,
  };
}

function words({ stdout = [], stderr = [], exitCode, exitAfterMs, ignoresStopSignal }: Behaviour): string[] {
  return [
    ...(ignoresStopSignal === true ? ['ignore-term'] : []),
    ...stdout.flatMap((line) => ['out', line]),
    ...stderr.flatMap((line) => ['err', line]),
    ...(exitAfterMs === undefined ? [] : ['wait', String(exitAfterMs)]),
    ...(exitCode === undefined ? [] : ['exit', String(exitCode)]),
  ];
}

describeRuntimeDriver('FakeDriver', async () => {
  const driver = new FakeDriver();
  driver.addImage('app:1');
  driver.addRemoteImage('remote:1', { layers: 3 });
  return {
    driver,
    labels: LABELS,
    plan,
    impossible: { arguments: ['missing'] },
    unknownImage: 'no-such-image:1',
    makeImage: ({ labels = {}, files = {} }) => {
      count += 1;
      driver.addImage(`made-${count}:1`, { labels }, files);
      return Promise.resolve(`made-${count}:1`);
    },
    removeImage: (reference) => Promise.resolve(driver.removeImage(reference)),
    preparePull: () => Promise.resolve('remote:1'),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
});

describe("FakeDriver's knobs", () => {
  const withImage = (options?: ConstructorParameters<typeof FakeDriver>[0]): FakeDriver => {
    const driver = new FakeDriver(options);
    driver.addImage('app:1');
    return driver;
  };

  it('fails the next calls, which then did nothing', async () => {
    const driver = withImage();
    driver.failNext('create', new RuntimeError('engine_error', 'no'), 2);
    await expect(driver.create(plan())).rejects.toMatchObject({ code: 'engine_error' });
    await expect(driver.create(plan())).rejects.toMatchObject({ code: 'engine_error' });
    expect(driver.instances.size).toBe(0);
    await driver.create(plan());
    expect(driver.calls.create).toBe(3);
  });

  it('loses the reply of a call that was carried out', async () => {
    const driver = withImage();
    const wanted = plan();
    driver.loseReply('create');
    await expect(driver.create(wanted)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await driver.inspect(wanted.name)).toMatchObject({ state: 'created' });
  });

  it('hangs until released', async () => {
    const driver = withImage();
    const hang = driver.hang('create');
    const created = driver.create(plan());
    await Promise.resolve();
    expect(driver.instances.size).toBe(0);
    hang[Symbol.dispose]();
    await created;
    expect(driver.instances.size).toBe(1);
  });

  it('is away and comes back with its instances', async () => {
    const driver = withImage();
    const id = await driver.create(plan());
    const broken = (async () => {
      for await (const _event of driver.events({ labels: {}, signal: new AbortController().signal }));
    })();
    driver.setAvailable(false);
    await expect(broken).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(driver.inspect(id)).rejects.toMatchObject({ code: 'engine_unavailable' });
    driver.setAvailable(true);
    expect(await driver.inspect(id)).toMatchObject({ id });
  });

  it('drops the same events for the same seed, about the share asked for', async () => {
    const seen = async (seed: number): Promise<number[]> => {
      const driver = withImage({ dropEvents: 0.3, seed });
      const abort = new AbortController();
      const numbers: number[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const reading = (async () => {
        for await (const { id } of driver.events({
          labels: {},
          signal: abort.signal,
          onSubscribed: resolve,
        })) {
          numbers.push(Number(id.slice('fake'.length)));
        }
      })();
      await promise;
      for (let made = 0; made < 1000; made += 1) await driver.create(plan());
      await new Promise(setImmediate);
      abort.abort();
      await reading;
      return numbers;
    };
    const first = await seen(7);
    expect(await seen(7)).toEqual(first);
    expect(await seen(8)).not.toEqual(first);
    expect(first.length).toBeGreaterThan(600);
    expect(first.length).toBeLessThan(800);
  });

  it('shares a pull, and gives it up when the last waiter leaves', async () => {
    const driver = withImage();
    driver.addRemoteImage('big:1', { layers: 4, durationMs: 60_000 });
    const first = new AbortController();
    const second = new AbortController();
    const pulls = [
      driver.pullImage('big:1', { signal: first.signal }),
      driver.pullImage('docker.io/library/big:1', { signal: second.signal }),
    ];
    await new Promise(setImmediate);
    expect(driver.pullsUnderWay).toBe(1);
    first.abort(new Error('first left'));
    await expect(pulls[0]).rejects.toThrow('first left');
    expect(driver.pullsUnderWay).toBe(1);
    second.abort(new Error('second left'));
    await expect(pulls[1]).rejects.toThrow('second left');
    expect(driver.pullsUnderWay).toBe(0);
  });

  it('makes and starts an instance in microseconds', async () => {
    const driver = withImage();
    const count = 1000;
    const make = async (): Promise<void> => {
      for (let made = 0; made < count; made += 1) await driver.start(await driver.create(plan()));
    };
    expect(await leastMs(10, make, 0.2 * count)).toBeLessThan(0.2 * count);
  });
});
