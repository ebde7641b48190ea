import type { Clock } from '../../kernel/clock.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { RuntimeDriver } from '../../runtime/driver.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import type { CallCarrier } from '../carried/call-carrier.ts';
import type { Job } from '../job.ts';
import type { JobLog } from '../job-log.ts';
import type { JobMirror } from '../job-mirror.ts';
import { CarriedPlacements } from './carried-placements.ts';
import { Claims } from './claims.ts';
import type { Courier } from './delivery.ts';
import { Duplicates } from './duplicates.ts';
import type { PlacementHost } from './host.ts';
import { Hosting, type HostedJobs } from './hosting.ts';
import type { Members } from './members.ts';
import { Outbox } from './outbox.ts';
import type { OutboxStore } from './outbox-store.ts';
import { Parents } from './parents.ts';
import { Placements } from './placements.ts';

export interface JobPlacementDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: HostedJobs & { endAsDuplicate(id: JobId, keeper: NodeId): Promise<Job> };
  readonly log: JobLog;
  readonly store: OutboxStore;
  readonly mirror: JobMirror;
  readonly carrier: CallCarrier;
  readonly members: Members;
  readonly engine: { readonly isAvailable: boolean };
  readonly driver: Pick<RuntimeDriver, 'findImage'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
}

/**
 * All that lets jobs of one node run on others, put together. Knows at once what this node has given to others, so that it can answer
 * for the keys of that; everything else begins with `start`.
 */
export class JobPlacement implements AsyncDisposable {
  readonly #host: Hosting;
  /** For those who create jobs here. */
  readonly placements: Placements;
  readonly #outbox: Outbox;
  readonly #parents: Parents;
  readonly #deps: JobPlacementDependencies;
  readonly #subscriptions = new DisposableStack();

  constructor(deps: JobPlacementDependencies) {
    this.#deps = deps;
    const { carrier, ...shared } = deps;
    const carried = new CarriedPlacements(carrier);
    const outbox = new Outbox({ ...shared, courier: this.#courier(deps.owner, carried) });
    const claims = new Claims({
      ...shared,
      outbox,
      ask: (node, claim, signal) => carried.claim(node, claim, signal),
    });
    this.#host = new Hosting({ ...shared, claims });
    const parents = this.#subscriptions.use(new Parents({ ...shared, outbox }));
    this.placements = new Placements({
      ...shared,
      host: this.#host,
      claims,
      outbox,
      parents,
      askBid: (node, image, signal) => carried.bid(node, image, signal),
    });
    this.#outbox = outbox;
    this.#parents = parents;
  }

  /** For those who call this node. */
  get host(): PlacementHost {
    return this.#host;
  }

  /** Goes on where an earlier life of this node was. Once, when this node's own jobs have started. */
  start(): void {
    this.#host.open();
    this.#outbox.resume();
    this.#parents.resume();
    this.#subscriptions.use(new Duplicates(this.#deps));
  }

  /** Gives up what is on its way to a node that will not return. Resolves when that is durable. */
  async forget(node: NodeId): Promise<void> {
    this.#parents.forget(node);
    await this.#outbox.forget(node);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose();
    await this.#outbox[Symbol.asyncDispose]();
  }

  /** This node is one of those that have a copy, and needs no network for its own. */
  #courier(owner: NodeId, carried: CarriedPlacements): Courier {
    return {
      accept: (node, id, request, signal) =>
        node === owner ? this.#host.accept(id, request) : carried.accept(node, id, request, signal),
      end: (node, id, how, signal) =>
        node === owner ? this.#host.end(id, how, signal) : carried.end(node, id, how, signal),
    };
  }
}
