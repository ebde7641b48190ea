import { randomBytes } from 'node:crypto';
import type { InstanceId } from '../kernel/ids.ts';
import type { InstancePlan } from '../runtime/driver.ts';
import { OWNER_LABEL } from '../runtime/owner-label.ts';
import type { CatalogDeps } from './ports.ts';

/** Says what a container is for. It has no mark of a job, so whoever looks after jobs leaves it alone. */
export const VALIDATION_LABEL = 'container-manager.validation';

/** All but what is decided here. */
export type BriefPlan = Omit<InstancePlan, 'name' | 'labels'>;

export interface BriefContainersDeps extends CatalogDeps {
  /** A container could not be removed: `removeLeftovers` is to be called later. */
  readonly onLeftover: () => void;
}

/**
 * Containers that are made for one look and removed again, whatever comes of it. Those that a crash left are found by their
 * labels.
 */
export class BriefContainers {
  readonly #labels: Readonly<Record<string, string>>;
  readonly #deps: BriefContainersDeps;
  readonly #inUse = new Set<string>();

  constructor(owner: string, deps: BriefContainersDeps) {
    this.#labels = { [OWNER_LABEL]: owner, [VALIDATION_LABEL]: 'true' };
    this.#deps = deps;
  }

  /** The container is there, and not started, as long as `work` is under way. Fails as the engine does, or as `work` does. */
  async use<T>(plan: BriefPlan, work: (id: InstanceId) => Promise<T>): Promise<T> {
    const name = `cm-validation-${randomBytes(8).toString('hex')}`;
    this.#inUse.add(name);
    let id: InstanceId | undefined;
    try {
      id = await this.#deps.driver.create({ ...plan, name, labels: this.#labels });
      return await work(id);
    } finally {
      await this.#remove(name, id).finally(() => this.#inUse.delete(name));
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
}
