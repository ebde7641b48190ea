import type { JobId, NodeId } from '../../src/kernel/ids.ts';
import { carriedCallHandler } from '../../src/jobs/serve-calls.ts';
import { ClusterJobs } from '../../src/jobs/cluster-jobs.ts';
import type { PlacementHost } from '../../src/jobs/placement/host.ts';
import type { Placements } from '../../src/jobs/placement/placements.ts';
import type { OwnJobs } from '../../src/jobs/jobs.ts';
import { decodeRecord, encodeRecord } from '../../src/jobs/record.ts';
import { jobSpecSchema } from '../../src/jobs/spec.ts';
import type { Job } from '../../src/jobs/job.ts';
import { systemClock, type Clock } from '../../src/kernel/clock.ts';
import { PeerCalls } from '../../src/peers/calls.ts';
import { SILENT_LOGGER } from '../../src/telemetry/logger.ts';
import { FakeJobs } from './fake-jobs.ts';
import { FakeMirror } from './fake-mirror.ts';
import { PeerPair } from './peer-pair.ts';

/** A node that gives no jobs to others. */
export const NO_HOST: PlacementHost = { bid: refuse, accept: refuse, end: refuse, claim: refuse };

function refuse(): never {
  throw new Error('no job is given to this node');
}

/** Two nodes: `near`, through which a test looks at everything, and `far`, which is only reached by calls. */
export class JobCluster {
  readonly pair = new PeerPair('12D3KooWTest' as NodeId, `12D3KooWFar${'1'.repeat(41)}` as NodeId);
  readonly mirror = new FakeMirror();
  readonly far = new FakeJobs({ owner: this.pair.b.nodeId });
  readonly jobs: ClusterJobs;

  /** `placements`: what is known here of jobs on their way to the far node. */
  constructor(own: OwnJobs, clock: Clock = systemClock, placements?: Placements) {
    const deps = {
      clock,
      logger: SILENT_LOGGER,
      onInvariantError: (error: Error) => {
        throw error;
      },
    };
    const carrier = new PeerCalls({ ...deps, network: this.pair.a });
    new PeerCalls({ ...deps, network: this.pair.b }).serve(carriedCallHandler(this.far, NO_HOST));
    const owner = this.pair.a.nodeId;
    this.jobs = new ClusterJobs({
      own,
      owner,
      mirror: this.mirror,
      carrier,
      clock,
      maxWaitMs: 60_000,
      ...(placements !== undefined && { placements }),
    });
  }

  /** A job of the far node, told of here. */
  async createFar(spec: Record<string, unknown> = {}): Promise<Job> {
    const request = jobSpecSchema.parse({ image: 'far', ...spec });
    const { job } = await this.far.create(request, 'local');
    return this.tell(job.id);
  }

  /** Brings what is known here of a job of the far node up to date. */
  tell(id: JobId): Job {
    const job = decodeRecord(encodeRecord(this.far.get(id).job));
    this.mirror.put(job);
    return job;
  }
}
