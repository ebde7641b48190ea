import { SingleFlight } from '../../src/kernel/single-flight.ts';
import { type Clock, sleep, systemClock } from '../../src/kernel/clock.ts';
import type { InstanceId } from '../../src/kernel/ids.ts';
import type {
  EngineInfo,
  EventsOptions,
  ImageEvent,
  ImageEventsOptions,
  ImageInfo,
  ImageSummary,
  InstanceFile,
  InstancePlan,
  InstanceStats,
  InstanceSummary,
  InstanceView,
  LogChunk,
  LogsOptions,
  PortPlan,
  PullOptions,
  PullProgress,
  ReadFileOptions,
  RuntimeDriver,
  RuntimeEvent,
  StopOptions,
} from '../../src/runtime/driver.ts';
import { RuntimeError } from '../../src/runtime/errors.ts';
import { parseImageReference } from '../../src/runtime/image-reference.ts';
import { FakeEvents } from './fake-events.ts';
import { type FileTree, readTree } from './fake-files.ts';
import { FakeInstance } from './fake-instance.ts';

/** Calls that faults can be put on, and that are counted. */
export const FAKE_CALLS = [
  'info',
  'findImage',
  'listImages',
  'imageEvents',
  'pullImage',
  'create',
  'start',
  'stop',
  'pause',
  'unpause',
  'remove',
  'inspect',
  'list',
  'events',
  'logs',
  'stats',
  'readFile',
] as const;
export type FakeCall = (typeof FAKE_CALLS)[number];

export interface FakeDriverOptions {
  readonly clock?: Clock;
  /** Added to every call; 0 adds nothing, not even a turn of the event loop. */
  readonly latencyMs?: number;
  /** Share of events that subscribers never see, by a generator that `seed` starts. */
  readonly dropEvents?: number;
  readonly seed?: number;
}

/** An image that a pull can fetch. */
export interface RemoteImage {
  readonly layers?: number;
  readonly layerBytes?: number;
  readonly durationMs?: number;
  /** Fails with this once the duration is over. */
  readonly error?: RuntimeError;
}

/** An image that is here. Several names may lead to one id. */
interface LocalImage {
  readonly familiar: string;
  readonly info: ImageInfo;
  readonly files: FileTree;
  readonly createdAtMs: number;
}

const FIRST_FREE_PORT = 40_000;
const ARCHITECTURE = 'amd64';

/**
 * An engine in memory: deterministic, and quick enough to measure others with. Instances run until `exit` or `stop`,
 * unless their plan's arguments are a script of words, carried out when they start:
 * `out TEXT`, `err TEXT` (write a line), `ignore-term` (stop needs its grace period), `missing` (start fails),
 * `wait MS`, `exit CODE`.
 */
export class FakeDriver implements RuntimeDriver {
  /** How often each call was made, failed ones included. */
  readonly calls: Record<FakeCall, number> = Object.fromEntries(FAKE_CALLS.map((call) => [call, 0])) as never;
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #images = new Map<string, LocalImage>();
  readonly #remote = new Map<string, RemoteImage>();
  readonly #pulls = new SingleFlight<string, ImageInfo>();
  readonly #pullListeners = new Map<string, Set<(progress: PullProgress) => void>>();
  readonly #instances = new Map<InstanceId, FakeInstance>();
  readonly #idsByName = new Map<string, InstanceId>();
  readonly #failures = new Map<FakeCall, RuntimeError[]>();
  readonly #lostReplies = new Map<FakeCall, number>();
  readonly #hangs = new Map<FakeCall, Promise<void>>();
  readonly #events: FakeEvents<RuntimeEvent>;
  readonly #imageEvents: FakeEvents<ImageEvent>;
  #isAvailable = true;
  #nextId = 1;
  #nextPort = FIRST_FREE_PORT;

  constructor(options: FakeDriverOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#events = new FakeEvents(options.dropEvents ?? 0, options.seed ?? 1);
    this.#imageEvents = new FakeEvents(options.dropEvents ?? 0, options.seed ?? 1);
  }

  // Knobs.

  /** Everything there is, as `inspect` would show it now. */
  get instances(): ReadonlyMap<InstanceId, InstanceView> {
    return new Map([...this.#instances].map(([id, instance]) => [id, instance.view()]));
  }

  /** Pulls under way, shared ones counted once. */
  get pullsUnderWay(): number {
    return this.#pulls.size;
  }

  /** The plan an instance was made from. */
  planOf(id: InstanceId): InstancePlan {
    return this.#require(id).plan;
  }

  addImage(reference: string, info: Partial<ImageInfo> = {}, files: FileTree = {}): void {
    const whole: ImageInfo = {
      id: `sha256:${reference}`,
      digest: undefined,
      sizeBytes: 1,
      labels: {},
      architecture: ARCHITECTURE,
      workingDir: '/',
      ...info,
    };
    const { canonical: key, familiar } = parseImageReference(reference);
    this.#images.set(key, { familiar, info: whole, files, createdAtMs: this.#clock.wallMs() });
    this.#tellOfImage('added', whole.id);
    this.#tellOfImage('tagged', whole.id);
  }

  removeImage(reference: string): void {
    const image = this.#images.get(canonical(reference));
    if (image === undefined) return;
    this.#images.delete(canonical(reference));
    this.#tellOfImage('untagged', image.info.id);
    const isNamed = [...this.#images.values()].some(({ info }) => info.id === image.info.id);
    if (!isNamed) this.#tellOfImage('removed', image.info.id);
  }

  addRemoteImage(reference: string, image: RemoteImage = {}): void {
    this.#remote.set(canonical(reference), image);
  }

  /** The next `times` calls fail with `error` and do nothing. */
  failNext(call: FakeCall, error: RuntimeError, times = 1): void {
    const queue = this.#failures.get(call) ?? [];
    queue.push(...Array.from({ length: times }, () => error));
    this.#failures.set(call, queue);
  }

  /** The next `times` calls are carried out, and then fail with `engine_unavailable`. */
  loseReply(call: FakeCall, times = 1): void {
    this.#lostReplies.set(call, (this.#lostReplies.get(call) ?? 0) + times);
  }

  /** Calls wait until this is disposed, or their signal is aborted. */
  hang(call: FakeCall): Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hangs.set(call, promise);
    return {
      [Symbol.dispose]: () => {
        this.#hangs.delete(call);
        resolve();
      },
    };
  }

  /** Without it every call fails with `engine_unavailable` and event streams break; instances go on. */
  setAvailable(isAvailable: boolean): void {
    this.#isAvailable = isAvailable;
    if (!isAvailable) this.cutEvents();
  }

  /** Breaks every event stream, as a restart of the engine would. */
  cutEvents(): void {
    this.#events.break(unavailable());
    this.#imageEvents.break(unavailable());
  }

  /** Ends an instance by itself. */
  exit(id: InstanceId, exitCode: number, options: { oomKilled?: boolean; message?: string } = {}): void {
    const instance = this.#require(id);
    if (instance.end(this.#clock.wallMs(), exitCode, options)) this.#emit('exited', instance);
  }

  setHealth(id: InstanceId, health: 'starting' | 'healthy' | 'unhealthy'): void {
    const instance = this.#require(id);
    instance.health = health;
    this.#emit('health', instance);
  }

  /** Writes to an instance's log. */
  write(id: InstanceId, stream: 'stdout' | 'stderr', text: string): void {
    this.#require(id).write(this.#clock.wallMs(), stream, text);
  }

  // The port.

  async info(signal?: AbortSignal): Promise<EngineInfo> {
    return this.#call('info', signal, () => ({
      name: 'Fake Engine 1.0',
      version: '1.0',
      apiVersion: '1.41',
      architecture: ARCHITECTURE,
    }));
  }

  async findImage(reference: string, signal?: AbortSignal): Promise<ImageInfo | undefined> {
    return this.#call('findImage', signal, () => this.#images.get(canonical(reference))?.info);
  }

  async listImages(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<ImageSummary[]> {
    return this.#call('listImages', signal, () => {
      const wanted = Object.entries(labels);
      const byId = Map.groupBy(this.#images.values(), ({ info }) => info.id);
      return [...byId.values()]
        .filter(([image]) => wanted.every(([name, value]) => image?.info.labels[name] === value))
        .map(summaryOf);
    });
  }

  async *imageEvents(options: ImageEventsOptions): AsyncIterable<ImageEvent> {
    if (options.signal.aborted) return;
    await this.#call('imageEvents', options.signal, () => undefined);
    if (!this.#isAvailable) throw unavailable();
    yield* this.#imageEvents.subscribe(options);
  }

  async pullImage(reference: string, options: PullOptions): Promise<ImageInfo> {
    const key = canonical(reference);
    await this.#call('pullImage', options.signal, () => undefined);
    const listeners = this.#pullListeners.get(key) ?? new Set();
    this.#pullListeners.set(key, listeners);
    const listener = options.onProgress;
    if (listener !== undefined) listeners.add(listener);
    try {
      return await this.#pulls.run(key, (signal) => this.#pull(key, reference, signal), options.signal);
    } finally {
      if (listener !== undefined) listeners.delete(listener);
      if (listeners.size === 0) this.#pullListeners.delete(key);
    }
  }

  async create(plan: InstancePlan): Promise<InstanceId> {
    return this.#call('create', undefined, () => {
      if (this.#idsByName.has(plan.name))
        throw new RuntimeError('name_conflict', `the name ${plan.name} is taken`);
      const image = this.#images.get(canonical(plan.image));
      if (image === undefined) throw new RuntimeError('image_not_found', `no such image: ${plan.image}`);
      const id = `fake${this.#nextId++}` as InstanceId;
      const { info, files } = image;
      const instance = new FakeInstance(id, plan, { id: info.id, files }, this.#clock.wallMs());
      this.#instances.set(id, instance);
      this.#idsByName.set(plan.name, id);
      this.#emit('created', instance);
      return id;
    });
  }

  async start(id: InstanceId): Promise<void> {
    await this.#call('start', undefined, () => {
      const instance = this.#require(id);
      if (instance.isUp) return;
      if (instance.plan.arguments.includes('missing')) {
        throw new RuntimeError('start_failed', 'the command was not found');
      }
      instance.begin(this.#clock.wallMs(), this.#publish(instance));
      this.#emit('started', instance);
      this.#runScript(instance);
    });
  }

  async stop(id: InstanceId, options: StopOptions): Promise<void> {
    await this.#call('stop', undefined, () => undefined);
    const instance = this.#require(id);
    if (!instance.isUp) return;
    if (!instance.plan.arguments.includes('ignore-term')) return this.exit(id, 143);
    await sleep(this.#clock, options.graceMs);
    this.exit(id, 137);
  }

  async pause(id: InstanceId): Promise<void> {
    await this.#call('pause', undefined, () => this.#setPaused(id, 'paused'));
  }

  async unpause(id: InstanceId): Promise<void> {
    await this.#call('unpause', undefined, () => this.#setPaused(id, 'running'));
  }

  async remove(id: InstanceId): Promise<void> {
    await this.#call('remove', undefined, () => {
      const instance = this.#instances.get(id);
      if (instance === undefined) return;
      if (instance.end(this.#clock.wallMs(), 137)) this.#emit('exited', instance);
      this.#instances.delete(id);
      this.#idsByName.delete(instance.plan.name);
      this.#emit('removed', instance);
    });
  }

  async inspect(idOrName: string, signal?: AbortSignal): Promise<InstanceView | undefined> {
    return this.#call('inspect', signal, () => {
      const id = this.#idsByName.get(idOrName) ?? (idOrName as InstanceId);
      return this.#instances.get(id)?.view();
    });
  }

  async list(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<InstanceSummary[]> {
    return this.#call('list', signal, () => {
      const wanted = Object.entries(labels);
      return [...this.#instances.values()]
        .filter((instance) => wanted.every(([name, value]) => instance.plan.labels[name] === value))
        .map((instance) => instance.summary());
    });
  }

  async *events(options: EventsOptions): AsyncIterable<RuntimeEvent> {
    if (options.signal.aborted) return;
    await this.#call('events', options.signal, () => undefined);
    if (!this.#isAvailable) throw unavailable();
    yield* this.#events.subscribe(options);
  }

  async *logs(id: InstanceId, options: LogsOptions): AsyncIterable<LogChunk> {
    if (options.signal?.aborted) return;
    await this.#call('logs', options.signal, () => undefined);
    yield* this.#require(id).logs(options);
  }

  async stats(id: InstanceId, signal?: AbortSignal): Promise<InstanceStats | undefined> {
    return this.#call('stats', signal, () => {
      const instance = this.#require(id);
      return instance.isUp ? instance.stats() : undefined;
    });
  }

  async readFile(id: InstanceId, path: string, { maxBytes, signal }: ReadFileOptions): Promise<InstanceFile> {
    return this.#call('readFile', signal, () => readTree(this.#require(id).files, path, maxBytes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.setAvailable(false);
  }

  /** Without faults and latency this costs two map look-ups. */
  async #call<T>(call: FakeCall, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    this.calls[call] += 1;
    signal?.throwIfAborted();
    if (this.#latencyMs > 0) await sleep(this.#clock, this.#latencyMs, signal);
    const hang = this.#hangs.get(call);
    if (hang !== undefined) await untilReleased(hang, signal);
    if (!this.#isAvailable) throw unavailable();
    const failure = this.#failures.get(call)?.shift();
    if (failure !== undefined) throw failure;
    const result = work();
    const lost = this.#lostReplies.get(call) ?? 0;
    if (lost > 0) {
      this.#lostReplies.set(call, lost - 1);
      throw unavailable();
    }
    return result;
  }

  async #pull(key: string, reference: string, signal: AbortSignal): Promise<ImageInfo> {
    const remote = this.#remote.get(key);
    if (remote === undefined) throw new RuntimeError('image_not_found', `${reference} does not exist`);
    const layers = remote.layers ?? 1;
    const layerBytes = remote.layerBytes ?? 1000;
    for (let done = 0; done <= layers; done += 1) {
      const progress: PullProgress = {
        layersDone: done,
        layersTotal: layers,
        downloadedBytes: done * layerBytes,
        totalBytes: layers * layerBytes,
      };
      for (const listener of this.#pullListeners.get(key) ?? []) listener(progress);
      if (remote.durationMs !== undefined && done < layers) {
        await sleep(this.#clock, remote.durationMs / layers, signal);
      }
    }
    if (remote.error !== undefined) throw remote.error;
    this.addImage(reference, { digest: `${reference}@sha256:fake`, sizeBytes: layers * layerBytes });
    return (this.#images.get(key) as LocalImage).info;
  }

  #setPaused(id: InstanceId, state: 'paused' | 'running'): void {
    const instance = this.#require(id);
    if (!instance.isUp) throw new RuntimeError('not_running', `${id} does not run`);
    if (instance.state === state) return;
    instance.state = state;
    this.#emit(state === 'paused' ? 'paused' : 'unpaused', instance);
  }

  #tellOfImage(type: ImageEvent['type'], image: string): void {
    this.#imageEvents.emit({ type, image, atMs: this.#clock.wallMs() });
  }

  #publish(instance: FakeInstance): PortPlan[] {
    const running = [...this.#instances.values()].filter((other) => other.isUp);
    return instance.plan.ports.map((port) => {
      const isTaken = (hostPort: number): boolean =>
        running.some((other) => other.ports.some((used) => used.hostPort === hostPort));
      if (isTaken(port.hostPort)) throw new RuntimeError('port_in_use', `port ${port.hostPort} is taken`);
      return { ...port, hostPort: port.hostPort === 0 ? this.#nextPort++ : port.hostPort };
    });
  }

  #runScript(instance: FakeInstance): void {
    const words = instance.plan.arguments;
    for (let index = 0; index < words.length; index += 1) {
      const word = words[index];
      const operand = words[index + 1] ?? '';
      if (word === 'out' || word === 'err')
        this.write(instance.id, word === 'out' ? 'stdout' : 'stderr', `${operand}\n`);
      if (word === 'exit' && words[index - 2] === 'wait') {
        const run = instance.run;
        this.#clock.after(Number(words[index - 1]), () => {
          if (instance.run === run && this.#instances.has(instance.id))
            this.exit(instance.id, Number(operand));
        });
      } else if (word === 'exit') this.exit(instance.id, Number(operand));
      if (word === 'out' || word === 'err' || word === 'exit' || word === 'wait') index += 1;
    }
  }

  #emit(type: RuntimeEvent['type'], instance: FakeInstance): void {
    this.#events.emit({ type, id: instance.id, labels: instance.plan.labels, atMs: this.#clock.wallMs() });
  }

  #require(id: InstanceId): FakeInstance {
    const instance = this.#instances.get(id);
    if (instance === undefined) throw new RuntimeError('not_found', `there is no instance ${id}`);
    return instance;
  }
}

function summaryOf(images: readonly LocalImage[]): ImageSummary {
  const [{ info, createdAtMs }] = images as readonly [LocalImage];
  return {
    id: info.id,
    tags: images.map(({ familiar }) => familiar),
    digests: [...new Set(images.flatMap((image) => image.info.digest ?? []))],
    labels: info.labels,
    architecture: info.architecture,
    createdAtMs,
  };
}

function unavailable(): RuntimeError {
  return new RuntimeError('engine_unavailable', 'the fake engine does not answer');
}

function canonical(reference: string): string {
  let text = canonicalTexts.get(reference);
  if (text === undefined) {
    text = parseImageReference(reference).canonical;
    if (canonicalTexts.size >= MAX_CANONICAL_TEXTS) canonicalTexts.clear();
    canonicalTexts.set(reference, text);
  }
  return text;
}
/** Benchmarks ask for one image over and over: parsing it each time would be what they measure. */
const canonicalTexts = new Map<string, string>();
const MAX_CANONICAL_TEXTS = 1000;

function untilReleased(hang: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return hang;
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    hang.then(resolve, reject);
  });
}
