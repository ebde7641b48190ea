import type { InstanceFile } from '../../runtime/driver.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import type { CatalogDeps } from '../ports.ts';
import type { BriefContainers, BriefPlan } from '../brief-containers.ts';
import { MAX_LIBRARY_BYTES } from './check-library.ts';

/** Never started: this is what the engine must be told, and is never used. */
const UNUSED = {
  entrypoint: ['/never-started'],
  arguments: [],
  env: {},
  workingDir: undefined,
  user: undefined,
  hasCapabilities: false,
  files: 'writable',
  network: 'none',
  ports: [],
  memoryBytes: 16 * 1024 ** 2,
  cpus: 0.1,
  pids: 16,
  stopSignal: undefined,
  healthcheck: undefined,
} as const satisfies Omit<BriefPlan, 'image'>;

/** A file of an image, and the image that it was in: a name may lead to another one the next moment. */
export interface ImageFile {
  readonly imageId: string;
  readonly file: InstanceFile;
}

export interface InspectionDeps extends CatalogDeps {
  readonly containers: BriefContainers;
}

/**
 * Looks into images by containers that are made, never started, and removed again: no code of an image runs, and no program
 * in it is needed.
 */
export class ImageInspection {
  readonly #deps: InspectionDeps;

  constructor(deps: InspectionDeps) {
    this.#deps = deps;
  }

  /** Fails as the engine does; `image_not_found` when the image is not here. */
  async read(image: string, path: string, signal: AbortSignal): Promise<ImageFile> {
    const { driver, containers } = this.#deps;
    signal.throwIfAborted();
    return containers.use({ ...UNUSED, image }, async (id) => {
      const view = await driver.inspect(id, signal);
      if (view === undefined) throw new RuntimeError('not_found', `container ${id} was removed by somebody`);
      const file = await driver.readFile(id, path, { maxBytes: MAX_LIBRARY_BYTES, signal });
      return { imageId: view.imageId, file };
    });
  }
}
