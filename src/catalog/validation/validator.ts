import { abortable, SingleFlight } from '../../kernel/single-flight.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import type { Controller } from '../controller.ts';
import type { CatalogDeps } from '../ports.ts';
import { checkLibrary, noLibraryPath, type Verdict } from './check-library.ts';
import type { ImageInspection } from './inspection.ts';

/** What a validation looks at: whatever of it changes, it is done anew. */
export interface ValidationSubject {
  readonly image: string;
  readonly library_path: string;
  readonly proc_name: string;
}

/** What was found, and of which image. */
export interface ValidationResult extends Verdict {
  readonly imageId: string;
}

/**
 * A further look at a controller in whose library nothing is wrong, such as starting it once. Undefined when it finds
 * nothing either. There is none built in.
 */
export type FurtherCheck = (
  subject: ValidationSubject,
  imageId: string,
  signal: AbortSignal,
) => Promise<Verdict | undefined>;

export interface ValidatorOptions {
  readonly verifySymbols: boolean;
  readonly furtherChecks: readonly FurtherCheck[];
}

/** Validates one image after the other, since a library is held in memory as a whole. Callers for the same share a run. */
export class Validator {
  readonly #options: ValidatorOptions;
  readonly #deps: CatalogDeps;
  readonly #inspection: ImageInspection;
  readonly #runs = new SingleFlight<string, ValidationResult>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: ValidatorOptions, deps: CatalogDeps & { readonly inspection: ImageInspection }) {
    this.#options = options;
    this.#deps = deps;
    this.#inspection = deps.inspection;
  }

  /** Whether what is known of an entry holds for this image. */
  isUpToDate(controller: Controller, imageId: string): boolean {
    const { validation } = controller;
    return (
      validation !== undefined &&
      validation.digest === imageId &&
      validation.library_path === controller.library_path &&
      validation.proc_name === controller.proc_name &&
      validation.verify_symbols === this.#options.verifySymbols
    );
  }

  /** Fails as the engine does, when that is away or has no such image: then nothing is known. */
  async validate(subject: ValidationSubject, signal?: AbortSignal): Promise<ValidationResult> {
    const { image, library_path, proc_name } = subject;
    const key = JSON.stringify([image, library_path, proc_name]);
    return this.#runs.run(
      key,
      (shared) => this.#inTurn(() => this.#validate(subject, shared), shared),
      signal,
    );
  }

  /** Resolves when nothing is under way any more, aborted runs included. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #validate(subject: ValidationSubject, signal: AbortSignal): Promise<ValidationResult> {
    const found = await this.#look(subject, signal);
    if (!found.isValid) return found;
    for (const check of this.#options.furtherChecks) {
      const verdict = await check(subject, found.imageId, signal);
      if (verdict !== undefined) return { ...verdict, imageId: found.imageId };
    }
    return found;
  }

  async #look(subject: ValidationSubject, signal: AbortSignal): Promise<ValidationResult> {
    const { driver } = this.#deps;
    const { image, library_path: libraryPath, proc_name: procName } = subject;
    const [engine, info] = await Promise.all([driver.info(signal), driver.findImage(image, signal)]);
    if (info === undefined) throw new RuntimeError('image_not_found', `image ${image} is not on this host`);
    if (libraryPath === '') return { ...noLibraryPath(), imageId: info.id };
    const { imageId, file } = await this.#inspection.read(image, libraryPath, signal);
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
