import { randomBytes } from 'node:crypto';
import type { InstanceId } from '../../kernel/ids.ts';
import type { InstanceFile, InstancePlan } from '../../runtime/driver.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { OWNER_LABEL } from '../../runtime/owner-label.ts';
import type { CatalogDeps } from '../ports.ts';
import { MAX_LIBRARY_BYTES } from './check-library.ts';

/** Says what a container is for. It has no mark of a job, so whoever looks after jobs leaves it alone. */
export const VALIDATION_LABEL = 'container-manager.validation';

/** Never started: these are what the engine must be told, and are never used. */
const UNUSED = {
  entrypoint: ['/never-started'],
  memoryBytes: 16 * 1024 ** 2,
  cpus: 0.1,
  pids: 16,
} as const;

/** A file of an image, and the image that it was in: a name may lead to another one the next moment. */
export interface ImageFile {
  readonly imageId: string;
  readonly file: InstanceFile;
}

export interface InspectionDeps extends CatalogDeps {
  /** A container could not be removed: `removeLeftovers` is to be called later. */
  readonly onLeftover: () => void;
}

/**
 * Looks into images by containers that are made, never started, and removed again: no code of an image runs, and no program
 * in it is needed. Containers that a crash left are found by their labels.
 */
export class ImageInspection {
  readonly #labels: Readonly<Record<string, string>>;
  readonly #deps: InspectionDeps;
  readonly #inUse = new Set<string>();

  constructor(owner: string, deps: InspectionDeps) {
    this.#labels = { [OWNER_LABEL]: owner, [VALIDATION_LABEL]: 'true' };
    this.#deps = deps;
  }

  /** Fails as the engine does; `image_not_found` when the image is not here. */
  async read(image: string, path: string, signal: AbortSignal): Promise<ImageFile> {
    const { driver } = this.#deps;
    signal.throwIfAborted();
    const plan = this.#plan(image);
    this.#inUse.add(plan.name);
    let id: InstanceId | undefined;
    try {
      id = await driver.create(plan);
      const view = await driver.inspect(id, signal);
      if (view === undefined) throw new RuntimeError('not_found', `${plan.name} was removed by somebody`);
      const file = await driver.readFile(id, path, { maxBytes: MAX_LIBRARY_BYTES, signal });
      return { imageId: view.imageId, file };
    } finally {
      await this.#remove(plan.name, id).finally(() => this.#inUse.delete(plan.name));
    }
  }

  /** Removes what an earlier process left. Fails as the engine does. */
  async removeLeftovers(signal: AbortSignal): Promise<void> {
    const { driver, logger } = this.#deps;
    for (const { id, name } of await driver.list(this.#labels, signal)) {
      if (this.#inUse.has(name)) continue;
      await driver.remove(id);
      logger.info({ container_id: id, container: name }, 'leftover container of a validation removed');
    }
  }

  /** Always tried, also when the caller has left; what stays all the same is a leftover. */
  async #remove(name: string, made: InstanceId | undefined): Promise<void> {
    const { driver, logger, onLeftover } = this.#deps;
    try {
      // A create whose reply was lost may have been carried out.
      const id = made ?? (await driver.inspect(name))?.id;
      if (id !== undefined) await driver.remove(id);
    } catch (err) {
      logger.warn({ err, container: name }, 'the container of a validation could not be removed yet');
      onLeftover();
    }
  }

  #plan(image: string): InstancePlan {
    return {
      ...UNUSED,
      name: `cm-validation-${randomBytes(8).toString('hex')}`,
      image,
      arguments: [],
      env: {},
      labels: this.#labels,
      workingDir: undefined,
      user: undefined,
      network: 'none',
      ports: [],
      stopSignal: undefined,
      healthcheck: undefined,
    };
  }
}
