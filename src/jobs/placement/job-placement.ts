import type { Clock } from '../../kernel/clock.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { RuntimeDriver } from '../../runtime/driver.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import type { CallCarrier } from '../carried/call-carrier.ts';
import { CarriedPlacements } from '../carried/carried-placements.ts';
import type { Job } from '../job.ts';
import type { JobLog } from '../job-log.ts';
import type { JobMirror } from '../job-mirror.ts';
import { Claims } from './claims.ts';
import { Duplicates } from './duplicates.ts';
import type { PlacementHost } from './host.ts';
import { Hosting, type HostedJobs } from './hosting.ts';
import type { Members } from './members.ts';
import { Outbox, type Courier } from './outbox.ts';
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

/** All that lets jobs of one node run on others, put together. Made when the jobs have started; goes on where it was. */
export class JobPlacement implements AsyncDisposable {
  /** For those who call this node. */
  readonly host: PlacementHost;
  /** For those who create jobs here. */
  readonly placements: Placements;
  readonly #outbox: Outbox;
  readonly #parents: Parents;
  readonly #duplicates: Duplicates;

  constructor(deps: JobPlacementDependencies) {
    const { carrier, ...shared } = deps;
    const carried = new CarriedPlacements(carrier);
    const outbox = new Outbox({ ...shared, courier: this.#courier(deps.owner, carried) });
    const claims = new Claims({
      ...shared,
      outbox,
      ask: (node, claim, signal) => carried.claim(node, claim, signal),
    });
    this.host = new Hosting({ ...shared, claims });
    const parents = new Parents({ ...shared, outbox });
    this.placements = new Placements({
      ...shared,
      host: this.host,
      claims,
      outbox,
      parents,
      askBid: (node, image, signal) => carried.bid(node, image, signal),
    });
    this.#outbox = outbox;
    this.#parents = parents;
    this.#duplicates = new Duplicates(shared);
    outbox.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#duplicates[Symbol.dispose]();
    this.#parents[Symbol.dispose]();
    await this.#outbox[Symbol.asyncDispose]();
  }

  /** This node is one of those that have a copy, and needs no network for its own. */
  #courier(owner: NodeId, carried: CarriedPlacements): Courier {
    return {
      accept: (node, id, request, signal) =>
        node === owner ? this.host.accept(id, request) : carried.accept(node, id, request, signal),
      end: (node, id, removes, signal) =>
        node === owner ? this.host.end(id, removes, signal) : carried.end(node, id, removes, signal),
    };
  }
}
