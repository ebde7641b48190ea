import type { InstanceId } from '../../kernel/ids.ts';
import type {
  EngineInfo,
  EventsOptions,
  ImageInfo,
  InstancePlan,
  InstanceStats,
  InstanceSummary,
  InstanceView,
  LogChunk,
  LogsOptions,
  PullOptions,
  RuntimeDriver,
  RuntimeEvent,
  StopOptions,
} from '../driver.ts';
import { RuntimeError } from '../errors.ts';
import { parseImageReference } from '../image-reference.ts';
import { type CallOptions, EngineCalls } from './call.ts';
import { decodeVersion, EngineConnection } from './connection.ts';
import { createBody } from './create-body.ts';
import { decodeEvent, eventFilters, labelFilters } from './events.ts';
import { decodeCreated, decodeImage, decodeInspect, decodeList } from './inspect.ts';
import { jsonLines } from './json-lines.ts';
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
import { askVersion } from './untyped-calls.ts';

const ALREADY_SO = 304;
const NOT_FOUND = 404;
const CONFLICT = 409;
/**
 * A connection whose other end is gone without a word looks like an engine on which nothing happens, so events are
 * asked for over a new one after so long without any.
 */
const MAX_EVENT_SILENCE_MS = 60_000;

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

  async *events(options: EventsOptions): AsyncIterable<RuntimeEvent> {
    if (options.signal.aborted) return;
    // The engine sends its head before it listens to itself: asked from now on, it hands over what fell in between.
    let sinceMs = options.sinceMs ?? this.#settings.clock.wallMs();
    let { onSubscribed } = options;
    const call = this.#call('query', 'follow events', options.signal);
    try {
      for (;;) {
        const query: object = { since: toUnixSeconds(sinceMs), filters: eventFilters(options.labels) };
        using stream = await this.#calls.open(call, (docker, abortSignal) =>
          docker.getEvents({ ...query, abortSignal }),
        );
        onSubscribed?.();
        onSubscribed = undefined;
        try {
          for await (const line of jsonLines(stream.chunks(MAX_EVENT_SILENCE_MS))) {
            const event = decodeEvent(line, options.labels);
            if (event === undefined) continue;
            sinceMs = event.atMs;
            yield event;
          }
          return;
        } catch (error) {
          if (!isSilence(error)) throw error;
        }
      }
    } catch (error) {
      if (!options.signal.aborted) throw translateError(error, call.kind, call.what);
    }
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
  }

  #call(kind: CallOptions['kind'], what: string, signal?: AbortSignal): CallOptions {
    return { kind, what, limitMs: this.#settings.callTimeoutMs, signal };
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

/** Of a stream that has begun: nothing came for as long as it may be silent. */
function isSilence(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'timeout';
}

function toUnixSeconds(wallMs: number): string {
  return (wallMs / 1000).toFixed(3);
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
