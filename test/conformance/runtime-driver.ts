import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceId } from '../../src/kernel/ids.ts';
import type {
  ImageEvent,
  InstanceFile,
  InstancePlan,
  InstanceView,
  LogChunk,
  LogsOptions,
  RuntimeDriver,
  RuntimeEvent,
} from '../../src/runtime/driver.ts';
import type { FileImage } from '../support/file-image.ts';
import { RuntimeError, type RuntimeErrorCode } from '../../src/runtime/errors.ts';

/** What an instance does when it starts; each driver's subject says it in its own arguments. */
export interface Behaviour {
  /** Lines written at once, in this order of streams. */
  readonly stdout?: readonly string[];
  readonly stderr?: readonly string[];
  /** Ends with this code; otherwise runs until it is stopped. */
  readonly exitCode?: number;
  /** Waits before it ends. */
  readonly exitAfterMs?: number;
  /** Only SIGKILL ends it. */
  readonly ignoresStopSignal?: boolean;
}

export interface RuntimeDriverSubject extends AsyncDisposable {
  readonly driver: RuntimeDriver;
  /** On every plan; nobody else's instances carry them. */
  readonly labels: Readonly<Record<string, string>>;
  /** A plan with a name of its own and an image that is there. */
  plan(behaviour?: Behaviour): InstancePlan;
  /** What makes a start fail. */
  readonly impossible: Partial<InstancePlan>;
  /** Makes the reference something that `findImage` finds not and `pullImage` can fetch. */
  preparePull(): Promise<string>;
  /** One that no registry has. */
  readonly unknownImage: string;
  /** Makes a local image that holds these files and carries these labels; its reference. */
  makeImage(image: FileImage): Promise<string>;
  /** Takes a name of a local image away, and with its last one the image. */
  removeImage(reference: string): Promise<void>;
}

/** Generous: the suite proves what happens, not how fast. */
const DEADLINE_MS = 40_000;

/** What every `RuntimeDriver` must do. */
export function describeRuntimeDriver(name: string, makeSubject: () => Promise<RuntimeDriverSubject>): void {
  describe(`${name} as a RuntimeDriver`, () => {
    let subject: RuntimeDriverSubject;
    let driver: RuntimeDriver;
    beforeAll(async () => {
      subject = await makeSubject();
      ({ driver } = subject);
    });
    afterAll(async () => {
      await subject[Symbol.asyncDispose]();
    });

    const started = async (behaviour?: Behaviour): Promise<InstanceId> => {
      const id = await driver.create(subject.plan(behaviour));
      await driver.start(id);
      return id;
    };
    const view = async (id: InstanceId): Promise<InstanceView> => {
      const found = await driver.inspect(id);
      if (found === undefined) throw new Error(`${id} is gone`);
      return found;
    };
    const exited = (id: InstanceId): Promise<InstanceView> =>
      until(async () => {
        const found = await view(id);
        return found.state === 'exited' ? found : undefined;
      });

    it('says which engine answers', async () => {
      const info = await driver.info();
      expect(info.name).not.toBe('');
      expect(info.version).not.toBe('');
    });

    describe('images', () => {
      it('finds one that is there, and not one that is not', async () => {
        expect(await driver.findImage(subject.plan().image)).toMatchObject({
          id: expect.any(String) as string,
        });
        expect(await driver.findImage(subject.unknownImage)).toBeUndefined();
      });

      it('pulls one that is not there, telling how far it is', async () => {
        const reference = await subject.preparePull();
        expect(await driver.findImage(reference)).toBeUndefined();
        const seen: number[] = [];
        const image = await driver.pullImage(reference, {
          onProgress: (progress) => seen.push(progress.layersTotal),
        });
        expect(seen.at(-1)).toBeGreaterThan(0);
        expect(await driver.findImage(reference)).toEqual(image);
      });

      it('says image_not_found for one that no registry has', async () => {
        await expectCode(driver.pullImage(subject.unknownImage, {}), 'image_not_found');
      });

      it('leaves a pull at once when its signal is aborted', async () => {
        const reason = new Error('changed my mind');
        const aborted = driver.pullImage(subject.unknownImage, { signal: AbortSignal.abort(reason) });
        await expect(aborted).rejects.toBe(reason);
      });
    });

    describe('images by label', () => {
      it('gives those that carry all labels', async () => {
        const group = crypto.randomUUID();
        const both = await subject.makeImage({ labels: { group, colour: 'blue' } });
        const one = await subject.makeImage({ labels: { group } });
        const tags = async (labels: Record<string, string>): Promise<string[]> =>
          (await driver.listImages(labels)).flatMap((image) => image.tags).sort();
        expect(await tags({ group })).toEqual([both, one].sort());
        expect(await tags({ group, colour: 'blue' })).toEqual([both]);
        expect(await tags({ group, colour: 'green' })).toEqual([]);
        const [image] = await driver.listImages({ group, colour: 'blue' });
        const found = await driver.findImage(both);
        expect(image).toMatchObject({ id: found?.id, labels: { group, colour: 'blue' }, digests: [] });
        expect(image?.architecture).toBe((await driver.info()).architecture);
        expect(Math.abs((image?.createdAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
        expect(found).toMatchObject({ labels: image?.labels, architecture: image?.architecture });
      });

      it('tells that one came, and that it went', async () => {
        await using events = await subscribeImages(driver);
        const reference = await subject.makeImage({ labels: { group: crypto.randomUUID() } });
        const id = (await driver.findImage(reference))?.id ?? '';
        const types = (): string[] => events.seen.filter(({ image }) => image === id).map(({ type }) => type);
        await until(() => Promise.resolve(types().includes('added')));
        await subject.removeImage(reference);
        await until(() => Promise.resolve(types().includes('removed')));
        expect(await driver.findImage(reference)).toBeUndefined();
        for (const event of events.seen) expect(Math.abs(event.atMs - Date.now())).toBeLessThan(60_000);
      });

      it('ends when its signal is aborted', async () => {
        const events = await subscribeImages(driver);
        await events[Symbol.asyncDispose]();
        const seen: ImageEvent[] = [];
        for await (const event of driver.imageEvents({ signal: AbortSignal.abort() })) seen.push(event);
        expect(seen).toEqual([]);
      });
    });

    describe('readFile', () => {
      const text = Buffer.from('hello\n');
      const big = Buffer.alloc(300_000, 'x');
      let id: InstanceId;
      const read = (path: string, maxBytes = 1024 ** 2): Promise<InstanceFile> =>
        driver.readFile(id, path, { maxBytes });
      beforeAll(async () => {
        const image = await subject.makeImage({
          files: {
            '/data/file': text,
            '/data/big': big,
            '/data/empty': Buffer.alloc(0),
            '/data/relative': { link: 'file' },
            '/data/absolute': { link: '/data/file' },
            '/data/chain': { link: 'relative' },
            '/data/escape': { link: '../../../../../data/file' },
            '/data/dangling': { link: 'nowhere' },
            '/data/loop': { link: 'loop2' },
            '/data/loop2': { link: 'loop' },
            '/data/to-directory': { link: '/x' },
            '/way': { link: 'data' },
            '/x/y/up': { link: '../z/file' },
            '/x/z/file': Buffer.from('z'),
            '/short': { link: '/x/y' },
            '/odd $(name) ?&#%25/f i\nle': Buffer.from('odd'),
          },
        });
        id = await driver.create({ ...subject.plan(), image });
      });

      it.each([
        ['a file', '/data/file'],
        ['a relative path, from the root on', 'data/file'],
        ['a path with dots in it', '/data/../data/./file'],
        ['a relative link', '/data/relative'],
        ['an absolute link', '/data/absolute'],
        ['a link to a link', '/data/chain'],
        ['a file through a linked directory', '/way/file'],
        ['a link through a linked directory', '/way/chain'],
        ['a link that climbs above the root', '/data/escape'],
      ])('reads %s', async (_what, path) => {
        expect(await read(path)).toEqual({ kind: 'file', data: text });
      });

      it('takes what is above from where a linked directory really is', async () => {
        expect(await read('/short/up')).toEqual({ kind: 'file', data: Buffer.from('z') });
      });

      it('takes every character of a path for itself', async () => {
        const path = '/odd $(name) ?&#%25/f i\nle';
        expect(await read(path)).toEqual({ kind: 'file', data: Buffer.from('odd') });
      });

      it.each([
        '/nowhere',
        '/data/nowhere/file',
        '/data/file/below',
        '/data/dangling',
        '/data/loop',
        '',
        '/data/file\0.txt',
        `/${'x'.repeat(5000)}`,
      ])('finds nothing at %j', async (path) => {
        expect(await read(path)).toEqual({ kind: 'missing' });
      });

      it.each(['/', '/data', '/way', '/data/to-directory'])(
        'takes the directory %s for none',
        async (path) => {
          expect(await read(path)).toEqual({ kind: 'not_a_file' });
        },
      );

      it('reads no more than it may', async () => {
        expect(await read('/data/big', big.length)).toEqual({ kind: 'file', data: big });
        expect(await read('/data/big', big.length - 1)).toEqual({ kind: 'too_large', bytes: big.length });
        expect(await read('/data/empty', 0)).toEqual({ kind: 'file', data: Buffer.alloc(0) });
      });

      it('reads many at once', async () => {
        const files = await Promise.all(Array.from({ length: 10 }, () => read('/data/big')));
        for (const file of files) expect(file).toEqual({ kind: 'file', data: big });
      });

      it('reads of a running one', async () => {
        const running = await started();
        const options = { maxBytes: 1024 };
        expect(await driver.readFile(running, '/no-such-file', options)).toEqual({ kind: 'missing' });
      });

      it('says not_found when there is no such instance', async () => {
        const options = { maxBytes: 1 };
        await expectCode(driver.readFile('0123456789ab' as InstanceId, '/data/file', options), 'not_found');
      });

      it('leaves at once when its signal is aborted', async () => {
        const reason = new Error('changed my mind');
        const options = { maxBytes: 1, signal: AbortSignal.abort(reason) };
        await expect(driver.readFile(id, '/data/file', options)).rejects.toBe(reason);
      });
    });

    describe('pause', () => {
      it('holds a running one still, and lets it go on', async () => {
        const id = await started();
        await driver.pause(id);
        expect(await view(id)).toMatchObject({ state: 'paused', exit: undefined });
        await driver.pause(id);
        await driver.unpause(id);
        expect((await view(id)).state).toBe('running');
        await driver.unpause(id);
        expect((await view(id)).state).toBe('running');
      });

      it('does not keep one from being stopped, or removed', async () => {
        const [stopped, removed] = [await started(), await started()];
        await driver.pause(stopped);
        await driver.pause(removed);
        await driver.stop(stopped, { graceMs: 5000 });
        expect((await view(stopped)).state).toBe('exited');
        await driver.remove(removed);
        expect(await driver.inspect(removed)).toBeUndefined();
      });

      it('says not_running of one that does not', async () => {
        const id = await driver.create(subject.plan());
        await expectCode(driver.pause(id), 'not_running');
        await expectCode(driver.unpause(id), 'not_running');
      });

      it('says not_found when there is no such instance', async () => {
        await expectCode(driver.pause('0123456789ab' as InstanceId), 'not_found');
        await expectCode(driver.unpause('0123456789ab' as InstanceId), 'not_found');
      });
    });

    describe('create', () => {
      it('makes an instance and does not start it', async () => {
        const plan = subject.plan();
        const id = await driver.create(plan);
        expect(await view(id)).toMatchObject({
          id,
          name: plan.name,
          state: 'created',
          labels: plan.labels,
          startedAtMs: undefined,
          exit: undefined,
          health: 'none',
        });
      });

      it('says name_conflict when the name is taken, and leaves the other alone', async () => {
        const plan = subject.plan();
        const id = await driver.create(plan);
        await expectCode(driver.create(plan), 'name_conflict');
        expect((await driver.inspect(plan.name))?.id).toBe(id);
      });

      it('gives a name to one only, however many ask at once', async () => {
        const plan = subject.plan();
        const results = await Promise.allSettled(Array.from({ length: 8 }, () => driver.create(plan)));
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
        for (const result of results) {
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'name_conflict' });
        }
      });

      it('says image_not_found when the image is not there', async () => {
        await expectCode(
          driver.create({ ...subject.plan(), image: subject.unknownImage }),
          'image_not_found',
        );
      });
    });

    describe('start', () => {
      it('runs it, and leaves a running one as it is', async () => {
        const id = await started();
        const before = await view(id);
        expect(before).toMatchObject({ state: 'running', exit: undefined });
        expect(before.startedAtMs).toBeGreaterThan(0);
        await driver.start(id);
        expect((await view(id)).startedAtMs).toBe(before.startedAtMs);
      });

      it('runs an ended one again, and forgets how it ended', async () => {
        // Ended by us: one that ends by itself might have done so again by the time it is looked at.
        const id = await started();
        await driver.stop(id, { graceMs: 0 });
        expect((await exited(id)).exit).toBeDefined();
        await driver.start(id);
        expect(await view(id)).toMatchObject({ state: 'running', exit: undefined });
      });

      it('says start_failed when it cannot be run', async () => {
        const id = await driver.create({ ...subject.plan(), ...subject.impossible });
        const error = await expectCode(driver.start(id), 'start_failed');
        expect(error.retryable).toBe(false);
      });

      it('says not_found when there is no such instance', async () => {
        await expectCode(driver.start('0123456789ab' as InstanceId), 'not_found');
      });
    });

    describe('the end', () => {
      it.each([0, 3, 255])('records exit code %i', async (exitCode) => {
        const id = await started({ exitCode });
        const { exit } = await exited(id);
        expect(exit).toMatchObject({ exitCode, oomKilled: false });
        expect(exit?.finishedAtMs).toBeGreaterThan(0);
      });

      it.each([
        [137, 'SIGKILL'],
        [143, 'SIGTERM'],
        [139, 'SIGSEGV'],
        [1, undefined],
      ])('tells the signal from exit code %i', async (exitCode, signal) => {
        const id = await started({ exitCode });
        expect((await exited(id)).exit?.signal).toBe(signal);
      });

      it('stops by the stop signal', async () => {
        const id = await started({ stdout: ['ready'] });
        // The first process of a container is deaf to signals until it has begun to listen to them.
        await until(async () => (await collect(driver.logs(id, {}))).stdout.includes('ready'));
        await driver.stop(id, { graceMs: 30_000 });
        expect((await view(id)).exit).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
      });

      it('stops by force when the grace period is over', async () => {
        const id = await started({ ignoresStopSignal: true, stdout: ['ready'] });
        await until(async () => (await collect(driver.logs(id, {}))).stdout.includes('ready'));
        await driver.stop(id, { graceMs: 1000 });
        expect((await view(id)).exit).toMatchObject({ exitCode: 137, signal: 'SIGKILL' });
      });

      it('leaves a stopped one as it is', async () => {
        const id = await started({ exitCode: 7 });
        const before = await exited(id);
        await driver.stop(id, { graceMs: 1000 });
        expect(await view(id)).toEqual(before);
      });

      it('says not_found when what is to stop is not there', async () => {
        await expectCode(driver.stop('0123456789ab' as InstanceId, { graceMs: 1000 }), 'not_found');
      });
    });

    describe('remove', () => {
      it('removes a running one', async () => {
        const id = await started();
        await driver.remove(id);
        expect(await driver.inspect(id)).toBeUndefined();
      });

      it('is fine with one that is gone', async () => {
        const id = await driver.create(subject.plan());
        await driver.remove(id);
        await driver.remove(id);
      });

      it('settles for all who remove the same one at once, and it is gone for each', async () => {
        const id = await started();
        await Promise.all(
          Array.from({ length: 5 }, async () => {
            await driver.remove(id);
            expect(await driver.inspect(id)).toBeUndefined();
          }),
        );
      });

      it('frees the name', async () => {
        const plan = subject.plan();
        await driver.remove(await driver.create(plan));
        await driver.create(plan);
      });
    });

    describe('inspect and list', () => {
      it('finds by id and by name', async () => {
        const plan = subject.plan();
        const id = await driver.create(plan);
        expect(await driver.inspect(plan.name)).toEqual(await driver.inspect(id));
        expect(await driver.inspect('no-such-name')).toBeUndefined();
        expect(await driver.inspect('no/such?name=#')).toBeUndefined();
      });

      it('leaves at once when its signal is aborted', async () => {
        const reason = new Error('changed my mind');
        await expect(driver.inspect('x', AbortSignal.abort(reason))).rejects.toBe(reason);
        await expect(driver.list({}, AbortSignal.abort(reason))).rejects.toBe(reason);
      });

      it('lists those that carry all the labels, running or not', async () => {
        const group = { group: crypto.randomUUID() };
        const make = (labels: Record<string, string>): Promise<InstanceId> => {
          const plan = subject.plan();
          return driver.create({ ...plan, labels: { ...plan.labels, ...labels } });
        };
        const first = await make({ ...group, colour: 'red' });
        const second = await make({ ...group, colour: 'blue' });
        await driver.start(second);
        const ids = async (labels: Record<string, string>): Promise<string[]> =>
          (await driver.list(labels)).map((summary) => summary.id).sort();
        expect(await ids(group)).toEqual([first, second].sort());
        expect(await ids({ ...group, colour: 'blue' })).toEqual([second]);
        expect(await ids({ ...group, colour: 'green' })).toEqual([]);
        const [running] = await driver.list({ ...group, colour: 'blue' });
        const inspected = await view(second);
        expect(running).toMatchObject({ name: inspected.name, state: 'running', labels: inspected.labels });
        expect(Math.abs((running?.createdAtMs ?? 0) - inspected.createdAtMs)).toBeLessThan(1000);
      });
    });

    describe('events', () => {
      it('tells of everything from the subscription on, in order', async () => {
        const group = { group: crypto.randomUUID() };
        await using events = await subscribe(driver, group);
        const plan = subject.plan();
        const id = await driver.create({ ...plan, labels: { ...plan.labels, ...group } });
        await driver.start(id);
        await driver.stop(id, { graceMs: 5000 });
        await driver.remove(id);
        await until(() => Promise.resolve(events.seen.some((event) => event.type === 'removed')));
        expect(events.seen.map((event) => event.type)).toEqual(['created', 'started', 'exited', 'removed']);
        for (const event of events.seen) {
          expect(event).toMatchObject({ id, labels: group });
          expect(Math.abs(event.atMs - Date.now())).toBeLessThan(60_000);
        }
      });

      it('tells of nobody else', async () => {
        const group = { group: crypto.randomUUID() };
        await using events = await subscribe(driver, group);
        await driver.create(subject.plan());
        const plan = subject.plan();
        const id = await driver.create({ ...plan, labels: { ...plan.labels, ...group } });
        await until(() => Promise.resolve(events.seen.length > 0));
        expect(events.seen.map((event) => event.id)).toEqual([id]);
      });

      it('tells of what happened since a time before', async () => {
        const group = { group: crypto.randomUUID() };
        const sinceMs = Date.now() - 1000;
        const plan = subject.plan();
        const id = await driver.create({ ...plan, labels: { ...plan.labels, ...group } });
        await using events = await subscribe(driver, group, sinceMs);
        await until(() => Promise.resolve(events.seen.length > 0));
        expect(events.seen[0]).toMatchObject({ type: 'created', id });
      });

      it('ends when its signal is aborted', async () => {
        const abort = new AbortController();
        const seen: RuntimeEvent[] = [];
        const subscribed = Promise.withResolvers<void>();
        const reading = (async () => {
          const options = { labels: subject.labels, signal: abort.signal, onSubscribed: subscribed.resolve };
          for await (const event of driver.events(options)) seen.push(event);
        })();
        await subscribed.promise;
        abort.abort();
        await reading;
        for await (const event of driver.events({ labels: {}, signal: abort.signal })) seen.push(event);
      });
    });

    describe('logs', () => {
      it('keeps the streams apart', async () => {
        const id = await started({ stdout: ['one', 'two'], stderr: ['oops'], exitCode: 0 });
        await exited(id);
        expect(await collect(driver.logs(id, {}))).toEqual({ stdout: 'one\ntwo\n', stderr: 'oops\n' });
      });

      it('gives the last lines only, where asked', async () => {
        const id = await started({ stdout: ['one', 'two', 'three'], exitCode: 0 });
        await exited(id);
        expect((await collect(driver.logs(id, { tail: 2 }))).stdout).toBe('two\nthree\n');
        expect((await collect(driver.logs(id, { tail: 0 }))).stdout).toBe('');
      });

      it('gives what was written since a time', async () => {
        const id = await started({ stdout: ['early'], exitCode: 0 });
        await exited(id);
        expect((await collect(driver.logs(id, { sinceMs: Date.now() - 60_000 }))).stdout).toBe('early\n');
        expect((await collect(driver.logs(id, { sinceMs: Date.now() + 60_000 }))).stdout).toBe('');
      });

      it('puts the time before each line, where asked', async () => {
        const id = await started({ stdout: ['timed'], exitCode: 0 });
        await exited(id);
        expect((await collect(driver.logs(id, { timestamps: true }))).stdout).toMatch(
          /^\d{4}-\d\d-\d\dT[\d:.]+Z timed\n$/,
        );
      });

      it('follows until the instance ends', async () => {
        const id = await started({ stdout: ['before'], exitCode: 0, exitAfterMs: 500 });
        expect((await collect(driver.logs(id, { follow: true }))).stdout).toBe('before\n');
        expect((await view(id)).state).toBe('exited');
      });

      it('ends a follow whose signal is aborted', async () => {
        const id = await started({ stdout: ['before'] });
        const abort = new AbortController();
        const options: LogsOptions = { follow: true, signal: abort.signal };
        for await (const chunk of driver.logs(id, options)) {
          expect(chunk.data.toString()).toBe('before\n');
          abort.abort();
        }
        expect((await view(id)).state).toBe('running');
      });

      it('says not_found when there is no such instance', async () => {
        await expectCode(collect(driver.logs('0123456789ab' as InstanceId, {})), 'not_found');
      });
    });

    describe('stats', () => {
      it('measures a running one', async () => {
        const id = await started();
        const stats = await driver.stats(id);
        expect(stats?.memoryLimitBytes).toBe(subject.plan().memoryBytes);
        expect(stats?.memoryBytes).toBeGreaterThan(0);
        expect(stats?.pids).toBeGreaterThan(0);
        expect(stats?.cpus).toBeGreaterThanOrEqual(0);
      });

      it('has nothing to say of one that does not run', async () => {
        expect(await driver.stats(await driver.create(subject.plan()))).toBeUndefined();
      });

      it('says not_found when there is no such instance', async () => {
        await expectCode(driver.stats('0123456789ab' as InstanceId), 'not_found');
      });
    });
  });
}

async function expectCode(promise: Promise<unknown>, code: RuntimeErrorCode): Promise<RuntimeError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RuntimeError);
  expect(error).toMatchObject({ code });
  return error as RuntimeError;
}

/** Asks again until there is an answer. */
async function until<T>(ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadlineMs) throw new Error(`not so within ${DEADLINE_MS} ms: ${ask.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function collect(chunks: AsyncIterable<LogChunk>): Promise<{ stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  for await (const { stream, data } of chunks) texts[stream] += data.toString();
  return texts;
}

async function subscribeImages(driver: RuntimeDriver): Promise<{ seen: ImageEvent[] } & AsyncDisposable> {
  const abort = new AbortController();
  const seen: ImageEvent[] = [];
  const { promise: subscribed, resolve, reject } = Promise.withResolvers<void>();
  const reading = (async () => {
    const options = { signal: abort.signal, onSubscribed: resolve };
    for await (const event of driver.imageEvents(options)) seen.push(event);
  })();
  reading.catch(reject);
  await subscribed;
  return {
    seen,
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      await reading;
    },
  };
}

async function subscribe(
  driver: RuntimeDriver,
  labels: Record<string, string>,
  sinceMs?: number,
): Promise<{ seen: RuntimeEvent[] } & AsyncDisposable> {
  const abort = new AbortController();
  const seen: RuntimeEvent[] = [];
  const { promise: subscribed, resolve, reject } = Promise.withResolvers<void>();
  const options = {
    labels,
    signal: abort.signal,
    onSubscribed: resolve,
    ...(sinceMs === undefined ? {} : { sinceMs }),
  };
  const reading = (async () => {
    for await (const event of driver.events(options)) seen.push(event);
  })();
  reading.catch(reject);
  await subscribed;
  return {
    seen,
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      await reading;
    },
  };
}
