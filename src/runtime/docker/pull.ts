import { messageOf } from '../../kernel/errors.ts';
import { SingleFlight } from '../../kernel/single-flight.ts';
import type { ImageInfo, PullOptions, PullProgress } from '../driver.ts';
import { RuntimeError } from '../errors.ts';
import { type ImageReference, parseImageReference } from '../image-reference.ts';
import type { EngineCalls } from './call.ts';
import { findCredentials, type RegistryAuth } from './credentials.ts';
import { jsonLines } from './json-lines.ts';
import type { DockerSettings } from './options.ts';
import { decodePullLine, isStandingStill, LayerProgress } from './pull-progress.ts';
import { codeOfPullMessage } from './translate-error.ts';

type FindImage = (reference: string, signal: AbortSignal) => Promise<ImageInfo | undefined>;
type Listener = (progress: PullProgress) => void;

/** Who listens to one pull, and what the last of them heard. */
interface Audience {
  readonly listeners: Set<Listener>;
  waiters: number;
  last: PullProgress | undefined;
}

/** Pulls, one per image at a time however many wait for it. */
export class ImagePulls {
  readonly #calls: EngineCalls;
  readonly #settings: DockerSettings;
  readonly #findImage: FindImage;
  readonly #flights = new SingleFlight<string, ImageInfo>();
  readonly #audiences = new Map<string, Audience>();

  constructor(calls: EngineCalls, settings: DockerSettings, findImage: FindImage) {
    this.#calls = calls;
    this.#settings = settings;
    this.#findImage = findImage;
  }

  async pull(text: string, options: PullOptions): Promise<ImageInfo> {
    const reference = parseImageReference(text);
    const key = reference.canonical;
    const audience = this.#audiences.get(key) ?? { listeners: new Set(), waiters: 0, last: undefined };
    this.#audiences.set(key, audience);
    // Each call listens for itself, also where two bring the same function.
    const listener: Listener | undefined =
      options.onProgress && ((progress) => options.onProgress?.(progress));
    if (listener !== undefined) audience.listeners.add(listener);
    audience.waiters += 1;
    try {
      if (audience.last !== undefined) listener?.(audience.last);
      return await this.#flights.run(
        key,
        (signal) => this.#fetch(reference, audience, signal),
        options.signal,
      );
    } finally {
      if (listener !== undefined) audience.listeners.delete(listener);
      audience.waiters -= 1;
      if (audience.waiters === 0 && this.#audiences.get(key) === audience) this.#audiences.delete(key);
    }
  }

  async #fetch(reference: ImageReference, audience: Audience, abandoned: AbortSignal): Promise<ImageInfo> {
    const what = `pull ${reference.familiar}`;
    const limit = new AbortController();
    const { pullTimeoutMs } = this.#settings;
    using _timer = this.#settings.clock.after(pullTimeoutMs, () => {
      limit.abort(new RuntimeError('timeout', `${what}: not done within ${pullTimeoutMs} ms`));
    });
    const signal = AbortSignal.any([abandoned, limit.signal]);
    const credentials = await findCredentials(reference.domain, this.#settings.env, signal);
    signal.throwIfAborted();
    await this.#transfer(reference, credentials, audience, what, signal);
    const image = await this.#findImage(reference.canonical, signal);
    if (image === undefined)
      throw new RuntimeError('image_error', `${what}: the engine ended it without the image`);
    return image;
  }

  async #transfer(
    reference: ImageReference,
    credentials: RegistryAuth | undefined,
    audience: Audience,
    what: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { pullInactivityMs } = this.#settings;
    // Before the first line the engine speaks with the registry: silence then is as bad as later.
    const options = { kind: 'pull', what, limitMs: pullInactivityMs, signal } as const;
    using stream = await this.#calls.open(options, (docker, abortSignal) =>
      docker.createImage(credentials, {
        fromImage: `${reference.domain}/${reference.path}`,
        tag: reference.digest ?? reference.tag,
        abortSignal,
      }),
    );
    try {
      await this.#follow(stream.chunks(pullInactivityMs), audience, what);
    } catch (error) {
      // To whoever waits for an image, an engine that broke off is a pull to be tried again.
      const isCut = !(error instanceof RuntimeError) || error.code === 'engine_unavailable';
      throw isCut ? new RuntimeError('image_error', `${what}: ${messageOf(error)}`, { cause: error }) : error;
    }
    signal.throwIfAborted();
  }

  async #follow(chunks: AsyncIterable<Buffer>, audience: Audience, what: string): Promise<void> {
    const layers = new LayerProgress();
    const { clock, pullInactivityMs } = this.#settings;
    let movedAtMs = clock.monotonicMs();
    for await (const value of jsonLines(chunks)) {
      const line = decodePullLine(value);
      const failure = line.errorDetail?.message ?? line.error;
      if (failure !== undefined)
        throw new RuntimeError(codeOfPullMessage(failure), `${what}: ${failure.slice(0, 2000)}`);
      if (!isStandingStill(line)) movedAtMs = clock.monotonicMs();
      else if (clock.monotonicMs() - movedAtMs > pullInactivityMs) {
        throw new RuntimeError('timeout', `${what}: nothing has arrived for ${pullInactivityMs} ms`);
      }
      if (layers.update(line)) tell(audience, layers.progress);
    }
  }
}

function tell(audience: Audience, progress: PullProgress): void {
  audience.last = progress;
  for (const listener of audience.listeners) listener(progress);
}
