import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import { isDuplicate, type Job } from '../job.ts';
import type { JobLog } from '../job-log.ts';
import type { JobMirror } from '../job-mirror.ts';

export interface DuplicatesDependencies {
  /** This node. */
  readonly owner: NodeId;
  readonly jobs: { endAsDuplicate(id: JobId, keeper: NodeId): Promise<Job> };
  readonly log: Pick<JobLog, 'live' | 'liveJob' | 'subscribe'>;
  readonly mirror: Pick<JobMirror, 'find' | 'subscribe'>;
  readonly logger: Logger;
  readonly telemetry: Pick<Telemetry, 'jobPlaced'>;
}

/**
 * Ends this node's job where a node of a lower id has one for the same idempotency key: two sides of a partition may both have
 * accepted it. Nodes that know of each other's jobs come to the same decision, each by itself.
 */
export class Duplicates implements Disposable {
  readonly #deps: DuplicatesDependencies;
  readonly #subscriptions = new DisposableStack();
  readonly #ending = new Set<JobId>();

  /** Looks at what is there already, and at everything that is learnt from then on. */
  constructor(deps: DuplicatesDependencies) {
    this.#deps = deps;
    this.#subscriptions.use(
      deps.mirror.subscribe((event, _owner, after) => {
        if (after !== undefined) this.#compare(event.jobId);
      }),
    );
    // Another's may have been learnt of before this node had its own.
    this.#subscriptions.use(
      deps.log.subscribe((event, after, before) => {
        if (before === undefined && after !== undefined) this.#compare(event.jobId);
      }),
    );
    for (const { id } of [...deps.log.live()]) this.#compare(id);
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
  }

  #compare(id: JobId): void {
    const { owner, log, mirror } = this.#deps;
    const own = log.liveJob(id);
    if (own?.idempotencyKey === undefined || isDuplicate(own)) return;
    const other = mirror.find(id)?.job;
    if (other === undefined || isDuplicate(other) || other.owner > owner) return;
    void this.#end(id, other.owner);
  }

  async #end(id: JobId, keeper: NodeId): Promise<void> {
    if (this.#ending.has(id)) return;
    this.#ending.add(id);
    const { jobs, logger, telemetry } = this.#deps;
    try {
      await jobs.endAsDuplicate(id, keeper);
      telemetry.jobPlaced('duplicate');
      logger.warn({ job_id: id, peer: keeper }, 'job ended, another node has one for the same key');
    } catch (error) {
      logger.error({ job_id: id, err: error }, 'duplicate not ended');
    } finally {
      this.#ending.delete(id);
    }
  }
}
