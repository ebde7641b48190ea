import PQueue from 'p-queue';
import type { JobId } from '../kernel/ids.ts';
import { SingleFlight } from '../kernel/single-flight.ts';
import type { InstanceStats } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import type { JobContext } from './context.ts';
import type { Job } from './job.ts';

/**
 * Containers sampled at once, whoever asks. An engine takes a second or two for each, and most of the connections to
 * it have to stay free for deploying.
 */
export const STATS_CONCURRENCY = 32;

export interface JobStats {
  readonly job: Job;
  readonly stats: InstanceStats;
}

/** What containers use right now. Whoever asks for the same while it is being sampled shares the samples. */
export class ContainerStats {
  readonly #context: Pick<JobContext, 'driver' | 'gate' | 'log'>;
  readonly #queue = new PQueue({ concurrency: STATS_CONCURRENCY });
  readonly #sampling = new SingleFlight<JobId | 'all', JobStats[]>();

  constructor(context: Pick<JobContext, 'driver' | 'gate' | 'log'>) {
    this.#context = context;
  }

  /**
   * One sample of every job, or of one, that runs and still does when it is sampled. Fails with `not_found`, with the
   * error of the first sample that cannot be had, at once with `engine_unavailable` while the engine is away, and with
   * the signal's reason.
   */
  async of(id: JobId | undefined, signal?: AbortSignal): Promise<JobStats[]> {
    const { log } = this.#context;
    const jobs = id === undefined ? [...log.live()] : [log.require(id)];
    // The first failure ends the run for all who share it, and its signal what is left of it.
    return this.#sampling.run(id ?? 'all', (shared) => this.#sampleAll(jobs, shared), signal);
  }

  async #sampleAll(jobs: readonly Job[], signal: AbortSignal): Promise<JobStats[]> {
    const running = jobs.filter((job) => job.state === 'running');
    const samples = await Promise.all(running.map((job) => this.#queue.add(() => this.#sample(job, signal))));
    // Whoever keeps samples must not be handed one of a job that has ended, which they have forgotten by now.
    const { log } = this.#context;
    return samples.filter(
      (sample): sample is JobStats => sample !== undefined && log.liveJob(sample.job.id)?.state === 'running',
    );
  }

  async #sample(job: Job, signal: AbortSignal): Promise<JobStats | undefined> {
    signal.throwIfAborted();
    const { driver, gate } = this.#context;
    if (!gate.isAvailable)
      throw new RuntimeError('engine_unavailable', `the engine is away: ${gate.failure}`);
    if (job.instance === undefined) return undefined;
    try {
      const stats = await driver.stats(job.instance.id, signal);
      return stats === undefined ? undefined : { job, stats };
    } catch (error) {
      // It ended meanwhile; that is no failure of the others.
      if (error instanceof RuntimeError && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}
