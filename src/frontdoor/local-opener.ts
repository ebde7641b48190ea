import type { ControllerQuery, Resolution } from '../catalog/selection.ts';
import { templateOf, type TemplateDefaults } from '../instances/controller-template.ts';
import type { Instances, LeaseId, Upstream } from '../instances/instances.ts';
import type { Clock } from '../kernel/clock.ts';
import { isJobId, type JobId } from '../kernel/ids.ts';
import type { Opened, Wish } from './opening.ts';
import { Refused } from './refused.ts';
import { dialUpstream } from './upstream.ts';

export const DOOR_PATH = '/ws';

export interface LocalOpenerOptions {
  readonly defaults: TemplateDefaults;
  /** For an instance to answer the handshake, ms. */
  readonly handshakeTimeoutMs: number;
}

export interface LocalOpenerDependencies {
  readonly catalog: { resolve(query: ControllerQuery): Resolution };
  readonly instances: Instances;
  /** Where the container of a job of this node is reached; fails with an `InstanceError` `not_running`. */
  readonly upstreamOfJob: (job: JobId) => Upstream;
  readonly clock: Clock;
  readonly logger: { info(facts: object, message: string): void };
}

/** Where a client is led. */
interface Target extends Pick<Opened, 'controller' | 'job' | 'lease' | 'fields'> {
  readonly upstream: Upstream;
  /** What the container is asked for. */
  readonly path: string;
}

const MAX_SHOWN_LENGTH = 64;

/** Opens connections to containers of this node, made for them where none fits. */
export class LocalOpener {
  readonly #options: LocalOpenerOptions;
  readonly #deps: LocalOpenerDependencies;

  constructor(options: LocalOpenerOptions, deps: LocalOpenerDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Fails with what `refusalOf` knows, or with the signal's reason; then nothing is left to be released. */
  async open(wish: Wish, signal: AbortSignal): Promise<Opened> {
    const target = await this.#find(wish, signal);
    const { upstream, path, fields, controller, job, lease } = target;
    try {
      const dial = { upstream, path, handshake: wish.handshake, limitMs: this.#options.handshakeTimeoutMs };
      const opened = await dialUpstream(dial, this.#deps.clock, signal);
      const { socket: channel, head } = opened;
      return { channel, head, fields: [...opened.fields, ...fields], controller, job, lease };
    } catch (error) {
      if (lease !== undefined) this.release(lease);
      throw error;
    }
  }

  release(lease: LeaseId): void {
    this.#deps.instances.release(lease);
  }

  async #find({ query }: Wish, signal: AbortSignal): Promise<Target> {
    if (query.job !== undefined) return this.#ofJob(query.job, query);
    const { controller, libraryPath, procName, isPathIgnored } = this.#deps.catalog.resolve(query);
    const name = `${controller.id}@${controller.version}`;
    if (isPathIgnored)
      this.#deps.logger.info(
        { controller: name, path: query.path },
        'path of a client ignored: it names no controller',
      );
    const template = templateOf(controller, this.#options.defaults);
    const { id: lease, job, upstream } = await this.#deps.instances.acquire(template, signal);
    const fields = ['X-Controller', encodeURIComponent(name)];
    if (isPathIgnored) fields.push('X-Path-Ignored', 'true');
    return { controller: name, job, lease, upstream, path: pathOf(libraryPath, procName), fields };
  }

  #ofJob(id: string, { path, proc }: Wish['query']): Target {
    if (!isJobId(id)) {
      const text = `job is no id of a job: ${id.slice(0, MAX_SHOWN_LENGTH)}`;
      throw new Refused({ status: 400, text });
    }
    const upstream = this.#deps.upstreamOfJob(id);
    const none = { controller: undefined, lease: undefined, fields: [] };
    return { ...none, job: id, upstream, path: pathOf(path, proc) };
  }
}

/** In the order in which clients have always asked. */
function pathOf(path: string | undefined, proc: string | undefined): string {
  const query = new URLSearchParams();
  if (path !== undefined && path !== '') query.set('path', path);
  if (proc !== undefined && proc !== '') query.set('proc', proc);
  return query.size === 0 ? DOOR_PATH : `${DOOR_PATH}?${query.toString()}`;
}
