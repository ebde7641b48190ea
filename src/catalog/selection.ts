import type { Controller } from './controller.ts';
import { CatalogError } from './errors.ts';

/** What a client asks with, as it arrived. An empty text is as good as none. */
export interface ControllerQuery {
  readonly controller?: string | undefined;
  readonly version?: string | undefined;
  readonly path?: string | undefined;
  readonly proc?: string | undefined;
}

/** Which controller serves a connection, and with what. */
export interface Resolution {
  readonly controller: Controller;
  readonly libraryPath: string;
  readonly procName: string;
  /** The client sent a path that named no controller, and the entry does not let it replace the library path. */
  readonly isPathIgnored: boolean;
}

/** Which of the entries, in the order of the file, a query means. Pure; fails with a `CatalogError` when it means none. */
export function resolve(entries: readonly Controller[], _query: ControllerQuery): Resolution {
  const [controller] = entries;
  if (controller === undefined) throw new CatalogError('no_controllers', 'No controllers available');
  return {
    controller,
    libraryPath: controller.library_path,
    procName: controller.proc_name,
    isPathIgnored: false,
  };
}
