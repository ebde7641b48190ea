import type { Controller, ControllerChanges, ControllerDraft } from './controller.ts';
import type { DiscoveryReport } from './discovery-report.ts';
import { CatalogError } from './errors.ts';
import type { CatalogDeps } from './ports.ts';
import { type ControllerQuery, type Resolution, resolve } from './selection.ts';

export interface CatalogOptions {
  /** The database file; made when it is not there. */
  readonly file: string;
  /** Whose node this is: marks the containers that a validation makes. */
  readonly owner: string;
  readonly discovery: DiscoveryOptions;
  readonly validation: ValidationOptions;
}

export interface DiscoveryOptions {
  /** `startup`: once; `periodic`: then and once an interval; `manual`: only when asked. */
  readonly mode: 'startup' | 'manual' | 'periodic';
  readonly intervalMs: number;
  /** Whether a discovered controller goes with its image. */
  readonly removeMissing: boolean;
  /** Whether images are looked at when the engine says that one came or went. */
  readonly followImages: boolean;
}

export interface ValidationOptions {
  readonly enabled: boolean;
  /** Whether a library without its procedure makes an entry invalid; otherwise it is a warning. */
  readonly verifySymbols: boolean;
}

/** Why the catalog is not what the file says. */
export interface CatalogProblem {
  readonly message: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
}

/** The controllers of this node: what the file holds, what the images say, and what was found of them. */
export class Catalog implements AsyncDisposable {
  readonly #controllers: readonly Controller[] = [];

  constructor(_options: CatalogOptions, _deps: CatalogDeps) {}

  /** All entries in the order of the file; invalid ones too. */
  list(): readonly Controller[] {
    return this.#controllers;
  }

  /** Without a version: the highest. */
  find(id: string, version?: string): Controller | undefined {
    return this.#controllers.find((entry) => entry.id === id && (version ?? entry.version) === entry.version);
  }

  /** Which controller serves a connection. Fails with a `CatalogError`. */
  resolve(query: ControllerQuery): Resolution {
    return resolve(this.#controllers, query);
  }

  /** What is wrong with the file, while the last good state stays in force. */
  get problem(): CatalogProblem | undefined {
    return undefined;
  }

  async register(_draft: ControllerDraft): Promise<Controller> {
    throw notStarted();
  }

  /** Changes the fields given; `null` takes an optional one away. The version may be left out where there is only one. */
  async update(_id: string, _version: string | undefined, _changes: ControllerChanges): Promise<Controller> {
    throw notStarted();
  }

  /** The version may be left out where there is only one. */
  async remove(_id: string, _version?: string): Promise<void> {
    throw notStarted();
  }

  async discover(_signal?: AbortSignal): Promise<DiscoveryReport> {
    throw notStarted();
  }

  /** Validates anew, and gives the entry as it is then. */
  async validate(_id: string, _version?: string, _signal?: AbortSignal): Promise<Controller> {
    throw notStarted();
  }

  /** Told after every change of the entries. */
  subscribe(_listener: (controllers: readonly Controller[]) => void): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async start(): Promise<void> {}

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function notStarted(): CatalogError {
  return new CatalogError('closed', 'the catalog has not been started');
}
