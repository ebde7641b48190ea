import type { InstanceId } from '../../kernel/ids.ts';
import type {
  EngineInfo,
  EventsOptions,
  ImageEvent,
  ImageEventsOptions,
  ImageInfo,
  ImageSummary,
  InstanceFile,
  InstancePlan,
  InstanceState,
  InstanceStats,
  InstanceSummary,
  InstanceView,
  LogChunk,
  LogsOptions,
  PullOptions,
  ReadFileOptions,
  RuntimeDriver,
  RuntimeEvent,
  StopOptions,
} from '../driver.ts';
import { RuntimeError } from '../errors.ts';
import { parseImageReference } from '../image-reference.ts';
import { type CallOptions, EngineCalls } from './call.ts';
import { decodeVersion, EngineConnection } from './connection.ts';
import { createBody } from './create-body.ts';
import { type EventQuery, followEvents, toUnixSeconds } from './event-stream.ts';
import { decodeEvent, eventFilters, labelFilters } from './events.ts';
import { readInstanceFile } from './files.ts';
import { decodeImageEvent, decodeImages, IMAGE_EVENT_FILTERS } from './images.ts';
import { decodeCreated, decodeImage, decodeInspect, decodeList } from './inspect.ts';
import { demultiplex } from './logs.ts';
import { EngineNetworks } from './network.ts';
import {
  type DockerDriverDeps,
  type DockerDriverOptions,
  type DockerSettings,
  toSettings,
} from './options.ts';
import { ImagePulls } from './pull.ts';
import { decodeStats } from './stats.ts';
import { hasStatus, missingNetworkOf, translateError } from './translate-error.ts';
import { askVersion, inspectImage } from './untyped-calls.ts';

const ALREADY_SO = 304;
const NOT_FOUND = 404;
const CONFLICT = 409;
const SERVER_ERROR = 500;
/** Runs instances on a Docker Engine, 19.03 or later. Making one does no I/O: the engine is looked for at the first call. */
export class DockerDriver implements RuntimeDriver {
  readonly #settings: DockerSettings;
  readonly #connection: EngineConnection;
  readonly #calls: EngineCalls;
  readonly #networks: EngineNetworks;
  readonly #pulls: ImagePulls;

  constructor(options: DockerDriverOptions = {}, deps: DockerDriverDeps = {}) {
    this.#settings = toSettings(options, deps);
    this.#connection = new EngineConnection(this.#settings);
    this.#calls = new EngineCalls(this.#connection, this.#settings.clock);
    this.#networks = new EngineNetworks(this.#calls, this.#settings);
    this.#pulls = new ImagePulls(this.#calls, this.#settings, (reference, signal) =>
      this.findImage(reference, signal),
    );
  }

  async info(signal?: AbortSignal): Promise<EngineInfo> {
    const call = this.#call('query', 'ask the engine for its version', signal);
    return this.#calls.run(call, async (docker, abortSignal) => {
      const reply = decodeVersion(await askVersion(docker, abortSignal));
      const product = reply.Components?.[0]?.Name ?? 'Engine';
      const name = product === 'Engine' ? 'Docker Engine' : product;
      return {
        name: `${name} ${reply.Version}`,
        version: reply.Version,
        apiVersion: reply.ApiVersion,
        architecture: reply.Arch,
      };
    });
  }

  async findImage(reference: string, signal?: AbortSignal): Promise<ImageInfo | undefined> {
    const { canonical, familiar, repository } = parseImageReference(reference);
    const call = this.#call('image', `look for image ${familiar}`, signal);
    return unlessStatus(NOT_FOUND, undefined, () =>
      this.#calls.run(call, async (docker, abortSignal) => {
        const options: object = { abortSignal };
        return decodeImage(await docker.getImage(canonical).inspect(options), repository);
      }),
    );
  }

  async pullImage(reference: string, options: PullOptions): Promise<ImageInfo> {
    return this.#pulls.pull(reference, options);
  }

  async listImages(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<ImageSummary[]> {
    const call = this.#call('query', 'list images', signal);
    const filters = { label: labelFilters(labels) };
    const listed = await this.#calls.run(call, async (docker, abortSignal) =>
      decodeImages(await docker.listImages({ filters, abortSignal })),
    );
    const images: ImageSummary[] = [];
    for (const image of listed) {
      const architecture = await this.#architectureOf(image.id, signal);
      // One that went in the meantime is not there.
      if (architecture !== undefined) images.push({ ...image, architecture });
    }
    return images;
  }

  imageEvents(options: ImageEventsOptions): AsyncIterable<ImageEvent> {
    return this.#follow(options, { filters: IMAGE_EVENT_FILTERS, decodeLine: decodeImageEvent });
  }

  async create(plan: InstancePlan): Promise<InstanceId> {
    const body = createBody(plan);
    const call = this.#call('create', `create ${plan.name}`);
    const attempt = (): Promise<InstanceId> =>
      this.#calls.run(call, async (docker, abortSignal) => {
        const request: object = { _query: { name: plan.name }, _body: body, abortSignal };
        return decodeCreated(await docker.createContainer(request));
      });
    if (!this.#networks.isReady(plan.network)) await this.#networks.ensure(plan.network);
    return this.#withNetwork(attempt);
  }

  async start(id: InstanceId): Promise<void> {
    const call = this.#call('start', `start ${id}`);
    await unlessStatus(ALREADY_SO, undefined, () =>
      this.#withNetwork(() =>
        this.#calls.run(call, (docker, abortSignal) =>
          docker.getContainer(encode(id)).start({ abortSignal }),
        ),
      ),
    );
  }

  async stop(id: InstanceId, options: StopOptions): Promise<void> {
    // The engine counts in seconds.
    const graceSeconds = Math.ceil(options.graceMs / 1000);
    const call = this.#call('change', `stop ${id}`);
    const limitMs = call.limitMs + graceSeconds * 1000;
    await unlessStatus(ALREADY_SO, undefined, () =>
      this.#calls.run({ ...call, limitMs }, (docker, abortSignal) =>
        docker.getContainer(encode(id)).stop({ t: graceSeconds, abortSignal }),
      ),
    );
  }

  async pause(id: InstanceId): Promise<void> {
    const call = this.#call('change', `pause ${id}`);
    await this.#unlessAlready('paused', id, () =>
      this.#calls.run(call, (docker, abortSignal) => docker.getContainer(encode(id)).pause({ abortSignal })),
    );
  }

  async unpause(id: InstanceId): Promise<void> {
    const call = this.#call('change', `unpause ${id}`);
    await this.#unlessAlready('running', id, () =>
      this.#calls.run(call, (docker, abortSignal) =>
        docker.getContainer(encode(id)).unpause({ abortSignal }),
      ),
    );
  }

  async remove(id: InstanceId): Promise<void> {
    const call = this.#call('change', `remove ${id}`);
    try {
      await this.#calls.run(call, (docker, abortSignal) =>
        docker.getContainer(encode(id)).remove({ force: true, v: true, abortSignal }),
      );
    } catch (error) {
      if (hasStatus(error, NOT_FOUND)) return;
      // Somebody else removes it right now: it is gone when they are done.
      if (!hasStatus(error, CONFLICT)) throw error;
      await this.#untilRemoved(id);
    }
  }

  async inspect(idOrName: string, signal?: AbortSignal): Promise<InstanceView | undefined> {
    const call = this.#call('query', `inspect ${idOrName}`, signal);
    return unlessStatus(NOT_FOUND, undefined, () =>
      this.#calls.run(call, async (docker, abortSignal) =>
        decodeInspect(await docker.getContainer(encode(idOrName)).inspect({ abortSignal })),
      ),
    );
  }

  async list(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<InstanceSummary[]> {
    const call = this.#call('query', 'list containers', signal);
    const filters = { label: labelFilters(labels) };
    return this.#calls.run(call, async (docker, abortSignal) =>
      decodeList(await docker.listContainers({ all: true, filters, abortSignal })),
    );
  }

  events(options: EventsOptions): AsyncIterable<RuntimeEvent> {
    const decodeLine = (line: unknown): RuntimeEvent | undefined => decodeEvent(line, options.labels);
    return this.#follow(options, { filters: eventFilters(options.labels), decodeLine });
  }

  async *logs(id: InstanceId, options: LogsOptions): AsyncIterable<LogChunk> {
    if (options.signal?.aborted) return;
    const { follow = false, tail, sinceMs, timestamps = false } = options;
    const query = {
      stdout: true,
      stderr: true,
      follow,
      timestamps,
      tail: tail ?? 'all',
      ...(sinceMs === undefined ? {} : { since: toUnixSeconds(sinceMs) }),
    };
    const call = this.#call('query', `read the log of ${id}`, options.signal);
    try {
      // `follow` is what makes dockerode hand the reply on as a stream; the engine is asked by `_query`.
      const request = { follow: true, _query: query } as const;
      using stream = await this.#calls.open(call, (docker, abortSignal) =>
        docker.getContainer(encode(id)).logs({ ...request, abortSignal }),
      );
      yield* demultiplex(stream.chunks(follow ? undefined : this.#settings.callTimeoutMs));
    } catch (error) {
      if (options.signal?.aborted !== true) throw translateError(error, call.kind, call.what);
    }
  }

  async stats(id: InstanceId, signal?: AbortSignal): Promise<InstanceStats | undefined> {
    const call = this.#call('query', `measure ${id}`, signal);
    return this.#calls.run(call, async (docker, abortSignal) => {
      // Two samples, a second apart: without the first there is no processor usage to tell.
      const options: object = { stream: false, 'one-shot': false, abortSignal };
      return decodeStats(await docker.getContainer(encode(id)).stats(options));
    });
  }

  async readFile(id: InstanceId, path: string, { maxBytes, signal }: ReadFileOptions): Promise<InstanceFile> {
    const call = this.#call('query', `read ${path} of ${id}`, signal);
    return readInstanceFile(this.#calls, call, { id: encode(id), path, maxBytes });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
  }

  #call(kind: CallOptions['kind'], what: string, signal?: AbortSignal): CallOptions {
    return { kind, what, limitMs: this.#settings.callTimeoutMs, signal };
  }

  /** `undefined` when the image is not there any more. */
  async #architectureOf(imageId: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const call = this.#call('image', `look at image ${imageId}`, signal);
    return unlessStatus(NOT_FOUND, undefined, () =>
      this.#calls.run(call, async (docker, abortSignal) => {
        return decodeImage(await inspectImage(docker, encode(imageId), abortSignal), '').architecture;
      }),
    );
  }

  /** The engine refuses a change that is made already, in words that differ: what the instance is decides. */
  async #unlessAlready(wanted: InstanceState, id: InstanceId, change: () => Promise<unknown>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!hasStatus(error, CONFLICT) && !hasStatus(error, SERVER_ERROR)) throw error;
      const found = await this.inspect(id);
      if (found?.state === wanted) return;
      if (found === undefined || found.state === 'running' || found.state === 'paused') throw error;
      throw new RuntimeError('not_running', `${id} does not run`, { cause: error });
    }
  }

  #follow<Event extends { readonly atMs: number }>(
    options: EventsOptions | ImageEventsOptions,
    query: Omit<EventQuery<Event>, 'call'>,
  ): AsyncIterable<Event> {
    const call = this.#call('query', 'follow events', options.signal);
    return followEvents({ calls: this.#calls, clock: this.#settings.clock }, { call, ...query }, options);
  }

  /** A network can be removed under us after we saw it. It is made once more, and what needs it tried once more. */
  async #withNetwork<T>(attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      const network = missingNetworkOf(error);
      if (network === undefined) throw error;
      this.#networks.forget(network);
      await this.#networks.ensure(network);
      return attempt();
    }
  }

  async #untilRemoved(id: InstanceId): Promise<void> {
    const call = this.#call('change', `wait until ${id} is removed`);
    await unlessStatus(NOT_FOUND, undefined, () =>
      this.#calls.run(call, (docker, abortSignal) =>
        docker.getContainer(encode(id)).wait({ condition: 'removed', abortSignal }),
      ),
    );
  }
}

/** Names and ids become part of a path; no character of theirs may mean anything there. */
function encode(idOrName: string): string {
  return encodeURIComponent(idOrName);
}

async function unlessStatus<T, Instead>(
  status: number,
  instead: Instead,
  work: () => Promise<T>,
): Promise<T | Instead> {
  try {
    return await work();
  } catch (error) {
    if (hasStatus(error as RuntimeError, status)) return instead;
    throw error;
  }
}
