import { abortable, SingleFlight } from '../../kernel/single-flight.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import type { Controller } from '../controller.ts';
import { LiveTest, type LiveTestReport } from '../live-test/live-test.ts';
import { plainLine } from '../plain-line.ts';
import type { CatalogDeps } from '../ports.ts';
import { checkLibrary, noLibraryPath, type Verdict } from './check-library.ts';
import type { ImageInspection } from './inspection.ts';

/** What was found, and of which image. */
export interface ValidationResult extends Verdict {
  readonly imageId: string;
}

export interface ValidatorOptions {
  readonly verifySymbols: boolean;
  /** Whether a controller in whose library nothing is wrong is also started once. */
  readonly isLive: boolean;
}

export interface ValidatorDeps extends CatalogDeps {
  readonly inspection: ImageInspection;
  readonly liveTest: LiveTest;
}

/** Validates one image after the other, since a library is held in memory as a whole. Callers for the same share a run. */
export class Validator {
  readonly #options: ValidatorOptions;
  readonly #deps: ValidatorDeps;
  readonly #runs = new SingleFlight<string, ValidationResult>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: ValidatorOptions, deps: ValidatorDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Whether what is known of an entry holds for this image. */
  isUpToDate(controller: Controller, imageId: string): boolean {
    const { validation } = controller;
    return (
      validation !== undefined &&
      validation.digest === imageId &&
      validation.library_path === controller.library_path &&
      validation.proc_name === controller.proc_name &&
      validation.verify_symbols === this.#options.verifySymbols &&
      validation.live_test === this.liveTestOf(controller)
    );
  }

  /** What a live test of this entry depends on; undefined where none belongs to a validation. */
  liveTestOf(controller: Controller): string | undefined {
    return this.#options.isLive ? LiveTest.fingerprint(controller) : undefined;
  }

  /** Fails as the engine does, when that is away or has no such image: then nothing is known. */
  async validate(controller: Controller, signal?: AbortSignal): Promise<ValidationResult> {
    const { image, library_path, proc_name } = controller;
    const key = JSON.stringify([image, library_path, proc_name, this.liveTestOf(controller)]);
    return this.#runs.run(
      key,
      (shared) => this.#inTurn(() => this.#validate(controller, shared), shared),
      signal,
    );
  }

  /** Starts it once, whatever is known of it. Fails as `validate` does. */
  async test(controller: Controller, signal: AbortSignal): Promise<LiveTestReport> {
    return this.#inTurn(() => this.#deps.liveTest.run(controller, signal), signal);
  }

  /** Resolves when nothing is under way any more, aborted runs included. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #validate(controller: Controller, signal: AbortSignal): Promise<ValidationResult> {
    const found = await this.#look(controller, signal);
    if (!found.isValid || !this.#options.isLive) return found;
    const { passed, info } = await this.#deps.liveTest.run(controller, signal);
    return { ...found, isValid: passed, info: passed ? plainLine(`${found.info}; ${info}`) : info };
  }

  async #look(controller: Controller, signal: AbortSignal): Promise<ValidationResult> {
    const { driver, inspection } = this.#deps;
    const { image, library_path: libraryPath, proc_name: procName } = controller;
    const [engine, info] = await Promise.all([driver.info(signal), driver.findImage(image, signal)]);
    if (info === undefined) throw new RuntimeError('image_not_found', `image ${image} is not on this host`);
    if (libraryPath === '') return { ...noLibraryPath(), imageId: info.id };
    const { imageId, file } = await inspection.read(image, libraryPath, signal);
    const check = {
      libraryPath,
      procName,
      verifySymbols: this.#options.verifySymbols,
      engine: engine.architecture,
      image: info.architecture,
    };
    return { ...checkLibrary(check, file), imageId };
  }

  async #inTurn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last;
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    this.#last = before.then(() => done);
    try {
      await abortable(before, signal);
      return await work();
    } finally {
      finish();
    }
  }
}
