import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { timeInFlight } from '../measure/in-flight.ts';
import { NoopDriver } from '../noop-driver.ts';
import { serveParent } from './parent.ts';

export interface CyclesStart {
  /** Jobs that are kept once they have ended. */
  readonly keepCount: number;
  readonly directory: string;
}

export interface Cycles {
  readonly count: number;
  readonly inFlight: number;
}

/** As many workers as may be in flight at most. */
export const WORKER_COUNT = 64;
const MAX_WAIT_MS = 60_000;

let harness: JobHarness | undefined;

/** Accepted, worked on and ended: each of them on disk before the next begins, and the caller told after the last. */
async function cycle(): Promise<void> {
  const { jobs } = harness as JobHarness;
  const { job } = await jobs.create(jobSpecSchema.parse({ image: TEST_IMAGE }), 'local');
  const ended = await jobs.wait(job.id, { until: 'ended', timeoutMs: MAX_WAIT_MS });
  if (ended.job.state !== 'complete') throw new Error(`job ${job.id} is ${ended.job.state}`);
}

serveParent(
  {
    start: async ({ keepCount, directory }: CyclesStart) => {
      harness = await JobHarness.start({
        directory,
        driver: new NoopDriver(),
        options: {
          workerCount: WORKER_COUNT,
          queueSize: 1_000,
          retention: { keepCount, keepMs: 3_600_000, tombstoneMs: 3_600_000 },
          maxWaitMs: MAX_WAIT_MS,
          // Ten seconds are the default; a reconcile that finds nothing costs nothing, but more often is not the product.
          reconcileIntervalMs: 10_000,
        },
      });
    },
    run: ({ count, inFlight }: Cycles) => timeInFlight(count, inFlight, cycle),
  },
  async () => harness?.[Symbol.asyncDispose](),
);
