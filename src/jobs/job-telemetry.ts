import type { Telemetry } from '../telemetry/telemetry.ts';
import { hasEnded } from './job.ts';
import type { JobLog } from './job-log.ts';
import type { Jobs } from './jobs.ts';

/** Counts every committed change of every job. */
export function countJobs(log: JobLog, telemetry: Telemetry): Disposable {
  return log.subscribe((event, after, before) => {
    if (after === undefined) return;
    if (before === undefined) telemetry.jobAccepted();
    if (before?.state === after.state) return;
    telemetry.jobStateChanged(before?.state, after.state, event.atMs - (before?.updatedAtMs ?? event.atMs));
    if (!hasEnded(after)) return;
    telemetry.jobEnded(after.state, after.outcome?.reason ?? 'none', event.atMs - after.createdAtMs);
    telemetry.containerGone(after.id);
  });
}

/** Samples younger than this are good enough for whoever looks at the metrics, ms. */
const SAMPLE_TTL_MS = 5_000;

/** Samples what the containers use when somebody looks, and not more often than it changes anything. */
export class ContainerSampler {
  readonly #jobs: Pick<Jobs, 'stats'>;
  readonly #telemetry: Telemetry;
  #sampledMs = Number.NEGATIVE_INFINITY;
  #isSampling = false;

  constructor(deps: { jobs: Pick<Jobs, 'stats'>; telemetry: Telemetry }) {
    this.#jobs = deps.jobs;
    this.#telemetry = deps.telemetry;
  }

  /** Begins to sample anew where the samples are old; whoever looks next finds the new ones. */
  refresh(): void {
    if (this.#isSampling || performance.now() - this.#sampledMs < SAMPLE_TTL_MS) return;
    this.#isSampling = true;
    void this.#sample();
  }

  async #sample(): Promise<void> {
    try {
      for (const { job, stats } of await this.#jobs.stats()) this.#telemetry.containerSampled(job.id, stats);
    } catch {
      // The engine is away; the gauge that says so is on the same page.
    }
    this.#sampledMs = performance.now();
    this.#isSampling = false;
  }
}
