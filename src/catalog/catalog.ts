import { LinkedSignal } from '../kernel/linked-signal.ts';
import { SingleFlight } from '../kernel/single-flight.ts';
import { RuntimeError } from '../runtime/errors.ts';
import type { Controller, ControllerChanges, ControllerDraft, ControllerRecord } from './controller.ts';
import { CatalogFile, type CatalogProblem, type ChangeCause } from './database/catalog-file.ts';
import { FileWatch } from './database/file-watch.ts';
import { CONTROLLER_IMAGE } from './discovery/image-labels.ts';
import { ImageWatch } from './discovery/image-watch.ts';
import { mergeImages } from './discovery/merge.ts';
import type { DiscoveryReport } from './discovery/report.ts';
import { withChanges, withNew, without, withValidation } from './edits.ts';
import { CatalogError } from './errors.ts';
import type { CatalogOptions } from './options.ts';
import type { CatalogDeps } from './ports.ts';
import { type ControllerQuery, type Resolution, resolve, versionsOf } from './selection.ts';
import { LiveTest, type LiveTestReport } from './live-test/live-test.ts';
import { Upkeep } from './upkeep.ts';
import { BriefContainers } from './brief-containers.ts';
import { ImageInspection } from './validation/inspection.ts';
import { Validator } from './validation/validator.ts';

/** How long a call that the engine does not answer may keep the node from stopping. */
const CLOSE_WAIT_MS = 5_000;

export type CatalogListener = (controllers: readonly Controller[]) => void;

/**
 * The controllers of this node: what the file holds, what the images say, and what was found of them. Calls that need the
 * engine fail with its `RuntimeError` while it is away; what is known stays as it is, and is brought up to date once it is back.
 */
export class Catalog implements AsyncDisposable {
  readonly #options: CatalogOptions;
  readonly #deps: CatalogDeps;
  readonly #file: CatalogFile;
  readonly #containers: BriefContainers;
  readonly #validator: Validator;
  readonly #upkeep: Upkeep<'clean' | 'discover' | 'validate'>;
  readonly #discoveries = new SingleFlight<'images', DiscoveryReport>();
  readonly #listeners = new Set<CatalogListener>();
  readonly #stop = new AbortController();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #opened = new AsyncDisposableStack();
  #lastDiscovery: DiscoveryReport | undefined;

  constructor(options: CatalogOptions, deps: CatalogDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#file = new CatalogFile(options.file, {
      logger: deps.logger,
      onChange: (cause) => this.#onChange(cause),
    });
    this.#containers = new BriefContainers(options.owner, {
      ...deps,
      onLeftover: () => this.#upkeep.want('clean'),
    });
    const withContainers = { ...deps, containers: this.#containers };
    this.#validator = new Validator(options.validation, {
      ...deps,
      inspection: new ImageInspection(withContainers),
      liveTest: new LiveTest(options.liveTest, withContainers),
    });
    this.#upkeep = new Upkeep(
      {
        clean: (signal) => this.#containers.removeLeftovers(signal),
        discover: async (signal) => {
          await this.#discover(signal);
          this.#upkeep.want('validate');
        },
        validate: (signal) => this.#validateStale(signal),
      },
      deps,
    );
  }

  /** All entries in the order of the file; invalid ones too. */
  list(): readonly Controller[] {
    return this.#file.current.controllers;
  }

  /** Of exactly that version; without one, the highest. */
  find(id: string, version?: string): Controller | undefined {
    const versions = versionsOf(this.list(), id);
    return version === undefined ? versions[0] : versions.find((entry) => entry.version === version);
  }

  /** Which controller serves a connection. Fails with a `CatalogError`. */
  resolve(query: ControllerQuery): Resolution {
    return resolve(this.list(), query);
  }

  /** What is wrong with the file, while the last good state stays in force. */
  get problem(): CatalogProblem | undefined {
    return this.#file.problem;
  }

  /** What stands in the file and does not count, for people. */
  get warnings(): readonly string[] {
    return this.#file.current.warnings;
  }

  /** What the last look at the images led to. */
  get lastDiscovery(): DiscoveryReport | undefined {
    return this.#lastDiscovery;
  }

  /** Makes an entry, and validates it where the engine can. */
  async register(draft: ControllerDraft, signal?: AbortSignal): Promise<Controller> {
    return this.#call(signal, async (linked) => {
      await this.#file.change((records) => withNew(records, draft, this.#deps.clock.wallMs()));
      return this.#looked(draft, linked);
    });
  }

  /** Changes the fields given; `null` takes an optional one away. The version may be left out where there is only one. */
  async update(
    id: string,
    version: string | undefined,
    changes: ControllerChanges,
    signal?: AbortSignal,
  ): Promise<Controller> {
    return this.#call(signal, async (linked) => {
      const edited = await this.#file.edit((records) =>
        withChanges(records, { id, version }, changes, this.#deps.clock.wallMs()),
      );
      return this.#looked(edited, linked);
    });
  }

  /**
   * The version may be left out where there is only one. One that was discovered comes back with the next look at the
   * images, as long as its image is there.
   */
  async remove(id: string, version?: string): Promise<void> {
    await this.#call(undefined, () => this.#file.change((records) => without(records, { id, version })));
  }

  /** Brings the entries up to date with the images, and validates what is new. Callers at the same time share one look. */
  async discover(signal?: AbortSignal): Promise<DiscoveryReport> {
    return this.#call(signal, async (linked) => {
      const report = await this.#discover(linked);
      // The report holds, whatever the engine does from now on.
      await this.#validateStale(linked).catch(() => this.#upkeep.want('validate'));
      return report;
    });
  }

  /** Validates anew, and gives the entry as it is then. Fails as the engine does, when it cannot be looked at. */
  async validate(id: string, version?: string, signal?: AbortSignal): Promise<Controller> {
    return this.#call(signal, async (linked) => {
      const controller = this.find(id, version);
      if (controller === undefined) throw notFound(id, version);
      await this.#validate(controller, linked);
      return this.#current(controller);
    });
  }

  /** Starts it once, makes one call, and reports; the entry stays as it is. Fails as `validate` does. */
  async test(id: string, version?: string, signal?: AbortSignal): Promise<LiveTestReport> {
    return this.#call(signal, async (linked) => {
      const controller = this.find(id, version);
      if (controller === undefined) throw notFound(id, version);
      return this.#validator.test(controller, linked);
    });
  }

  /** Told after every change of the entries. */
  subscribe(listener: CatalogListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Reads the file and begins to keep up with it and the images. Fails only when the file is not there and cannot be made;
   * the engine is not waited for.
   */
  async start(): Promise<void> {
    await this.#file.open();
    const { mode, intervalMs, followImages } = this.#options.discovery;
    const onImages = (): void => this.#upkeep.want(mode === 'manual' ? 'validate' : 'discover');
    this.#opened.use(this.#upkeep);
    this.#opened.use(new FileWatch(this.#options.file, () => void this.#file.reload(), this.#deps));
    if (followImages) this.#opened.use(new ImageWatch(onImages, this.#deps));
    if (mode === 'periodic') this.#opened.use(every(this.#deps, intervalMs, onImages));
    this.#upkeep.want('clean', 'validate');
    onImages();
  }

  /**
   * Resolves when nothing of it is under way any more. An engine that hangs is not waited for longer than a few seconds: a
   * container that stays is a leftover, which the next start removes.
   */
  async close(): Promise<void> {
    this.#stop.abort(new CatalogError('closed', 'the node stops'));
    const finished = this.#finish();
    const { promise: isLate, resolve } = Promise.withResolvers<void>();
    using _timer = this.#deps.clock.after(CLOSE_WAIT_MS, resolve);
    await Promise.race([finished, isLate]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #finish(): Promise<void> {
    await this.#opened.disposeAsync();
    await Promise.allSettled(this.#calls);
    await this.#validator.settled();
    await this.#file.settled();
  }

  async #discover(signal: AbortSignal): Promise<DiscoveryReport> {
    const { driver, clock, logger } = this.#deps;
    return this.#discoveries.run(
      'images',
      async (shared) => {
        const images = await driver.listImages(CONTROLLER_IMAGE, shared);
        const found = await this.#file.edit((records) =>
          mergeImages(records, images, {
            removeMissing: this.#options.discovery.removeMissing,
            isValidating: this.#options.validation.enabled,
            nowMs: clock.wallMs(),
          }),
        );
        this.#lastDiscovery = found;
        if (found.added.length + found.updated.length + found.removed.length > 0) {
          const { added, updated, removed } = found;
          logger.info({ added, updated, removed }, 'controllers changed with their images');
        }
        return found;
      },
      signal,
    );
  }

  /** Validates every entry of which nothing is known that holds for its image. One failure keeps no other from it. */
  async #validateStale(signal: AbortSignal): Promise<void> {
    if (!this.#options.validation.enabled) return;
    let failure: unknown;
    // Many entries may be of one image.
    const imageIds = new Map<string, string | undefined>();
    for (const { id, version } of this.list()) {
      signal.throwIfAborted();
      const controller = this.find(id, version);
      if (controller === undefined) continue;
      try {
        if (!imageIds.has(controller.image)) {
          const image = await this.#deps.driver.findImage(controller.image, signal);
          imageIds.set(controller.image, image?.id);
        }
        const imageId = imageIds.get(controller.image);
        if (imageId === undefined || this.#validator.isUpToDate(controller, imageId)) continue;
        await this.#validate(controller, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (isAbsent(error)) continue;
        if (!(error instanceof RuntimeError) || error.code === 'engine_unavailable') throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  async #validate(controller: Controller, signal: AbortSignal): Promise<void> {
    const result = await this.#validator.validate(controller, signal);
    const { verifySymbols } = this.#options.validation;
    await this.#file.change((records) =>
      withValidation(records, controller, result, {
        verifySymbols,
        liveTest: this.#validator.liveTestOf(controller),
        nowMs: this.#deps.clock.wallMs(),
      }),
    );
    if (!result.isValid) {
      const { id, version } = controller;
      this.#deps.logger.warn({ controller: id, version, reason: result.info }, 'controller is not valid');
    }
  }

  /** An entry that was just written, looked at where that can be done now. */
  async #looked(record: ControllerRecord, signal: AbortSignal): Promise<Controller> {
    const written = this.#current(record);
    const { validation } = written;
    const isKnown = validation !== undefined && validation.live_test === this.#validator.liveTestOf(written);
    if (!this.#options.validation.enabled || isKnown) return written;
    try {
      await this.#validate(written, signal);
    } catch (error) {
      // It is made all the same, and validated as soon as its image can be looked at.
      if (!isAbsent(error)) this.#upkeep.want('validate');
    }
    return this.#current(record);
  }

  #current({ id, version = '' }: { readonly id: string; readonly version?: string | undefined }): Controller {
    const controller = this.find(id, version);
    if (controller === undefined) throw notFound(id, version);
    return controller;
  }

  async #call<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#stop.signal.throwIfAborted();
    using linked = new LinkedSignal([this.#stop.signal, ...(signal === undefined ? [] : [signal])]);
    const result = work(linked.signal);
    this.#calls.add(result);
    try {
      return await result;
    } finally {
      this.#calls.delete(result);
    }
  }

  #onChange(cause: ChangeCause): void {
    for (const listener of this.#listeners) {
      try {
        listener(this.list());
      } catch (err) {
        this.#deps.logger.error({ err }, 'somebody who follows the controllers failed');
      }
    }
    if (cause === 'edit') this.#upkeep.want('validate');
  }
}

/** The image is not on this host: nothing can be said of it until it is. */
function isAbsent(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'image_not_found';
}

function notFound(id: string, version: string | undefined): CatalogError {
  return version === undefined
    ? new CatalogError('controller_not_found', `Controller not found: ${id}`)
    : new CatalogError('version_not_found', `Controller version not found: ${version}`);
}

function every({ clock }: Pick<CatalogDeps, 'clock'>, intervalMs: number, action: () => void): Disposable {
  let next: Disposable;
  const arm = (): void => {
    next = clock.after(intervalMs, () => {
      arm();
      action();
    });
  };
  arm();
  return { [Symbol.dispose]: () => next[Symbol.dispose]() };
}
