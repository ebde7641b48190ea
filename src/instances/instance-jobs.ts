import type { JobId } from '../kernel/ids.ts';
import type { Job } from '../jobs/job.ts';
import type { JobRequest } from '../jobs/spec.ts';

/** What instances need of this node's jobs. */
export interface InstanceJobs {
  create(request: JobRequest, caller: string): Promise<{ readonly job: Job }>;
  wait(
    id: JobId,
    options: { readonly until: 'running'; readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<{ readonly job: Job }>;
  remove(id: JobId, options: { readonly force: true; readonly signal: AbortSignal }): Promise<void>;
}

/** And of their log. */
export interface InstanceJobLog {
  /** Those that have not ended. */
  live(): Iterable<Job>;
  /** `after` is undefined for a removed job. */
  subscribe(listener: (event: { readonly jobId: JobId }, after: Job | undefined) => void): Disposable;
}
