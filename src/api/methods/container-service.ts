import { z } from 'zod';
import { JobError } from '../../jobs/errors.ts';
import { jobSpecSchema } from '../../jobs/spec.ts';
import type { Jobs, JobSnapshot } from '../../jobs/jobs.ts';
import type { JobId } from '../../kernel/ids.ts';
import { collectTail, MAX_TAIL_LINES } from '../log-tail.ts';
import { readSince } from '../since.ts';
import { jobView, statsView } from '../views.ts';
import { defineMethod } from './definition.ts';
import { durationField, existingId, jobIdField, jobStateField, waitField } from './fields.ts';
import { createResult, jobResult, logEntryResult, statsResult } from './results.ts';

export const create = defineMethod<'ContainerService.Create'>()({
  summary: 'Accepts a container to be deployed. The job is durable when this answers.',
  scope: 'full',
  params: jobSpecSchema,
  result: createResult,
  errors: [
    'policy_denied',
    'idempotency_conflict',
    'queue_full',
    'image_error',
    'draining',
    'peer_unreachable',
  ],
  handle: async (request, deps, call) => {
    const { wait_ms: waitMs, placement, idempotency_key: key } = request;
    const mayConcernOthers = placement !== undefined || key !== undefined;
    // Only who waits can leave: without that, nobody needs to be told of it.
    const options = waitMs === undefined && !mayConcernOthers ? {} : { signal: call.signal };
    const { job, deduplicated } = await deps.jobs.create(request, call.caller.name, options);
    return {
      job_id: job.id,
      message: 'Job created successfully' as const,
      ...(deduplicated && { deduplicated }),
      ...(waitMs !== undefined && { status: job.state }),
      ...(mayConcernOthers && { owner: job.owner }),
    };
  },
});

export const status = defineMethod<'ContainerService.Status'>()({
  summary: 'The status of a job, and nothing else.',
  scope: 'read',
  params: z.strictObject({ job_id: jobIdField }),
  result: () => z.strictObject({ job_id: z.string(), status: jobStateField }),
  errors: ['not_found'],
  handle: ({ job_id }, deps) => {
    const status = deps.jobs.stateOf(existingId(job_id));
    // At once, wherever it can be: many clients do little else than to ask for this.
    if (typeof status === 'string') return { job_id, status };
    return status.then((told) => ({ job_id, status: told }));
  },
});

export const stop = defineMethod<'ContainerService.Stop'>()({
  summary: 'Ends a running job. Answers when the wish is durable, or with wait_ms when the job has ended.',
  scope: 'full',
  params: z.strictObject({
    job_id: jobIdField,
    timeout: durationField.optional(),
    wait_ms: waitField.optional(),
  }),
  result: jobResult,
  errors: ['not_found', 'invalid_state', 'peer_unreachable'],
  handle: async ({ job_id, timeout, wait_ms = 0 }, deps, { signal }) => {
    const id = existingId(job_id);
    const stopped = await deps.jobs.stop(id, timeout === undefined ? {} : { graceMs: timeout });
    return jobView(
      wait_ms === 0 ? stopped : await endedWithin(id, deps.jobs, { timeoutMs: wait_ms, signal }),
    );
  },
});

/** The job once it has ended, or as it stands when the time is over. */
async function endedWithin(
  id: JobId,
  jobs: Jobs,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<JobSnapshot> {
  try {
    return await jobs.wait(id, { until: 'ended', ...options });
  } catch (error) {
    if (error instanceof JobError && error.code === 'timeout') return await jobs.get(id);
    throw error;
  }
}

export const remove = defineMethod<'ContainerService.Remove'>()({
  summary: 'Removes an ended job and its container; with force it is stopped first.',
  scope: 'full',
  params: z.strictObject({ job_id: jobIdField, force: z.boolean().optional() }),
  result: () => z.strictObject({ job_id: z.string(), removed: z.literal(true) }),
  errors: ['not_found', 'invalid_state', 'peer_unreachable'],
  handle: async ({ job_id, force = false }, deps, { signal }) => {
    await deps.jobs.remove(existingId(job_id), { force, signal });
    return { job_id, removed: true as const };
  },
});

export const logs = defineMethod<'ContainerService.Logs'>()({
  summary: `The newest lines of a container's output: at most ${MAX_TAIL_LINES} lines and 512 KiB.`,
  scope: 'read',
  params: z.strictObject({
    job_id: jobIdField,
    tail: z.int().min(0).max(MAX_TAIL_LINES).optional(),
    since: z.string().max(64).optional().describe('RFC 3339, or a duration before now such as 5m'),
    timestamps: z.boolean().optional(),
  }),
  result: () =>
    z.strictObject({ job_id: z.string(), entries: z.array(logEntryResult()), truncated: z.boolean() }),
  errors: ['not_found', 'invalid_state', 'peer_unreachable'],
  handle: async ({ job_id, tail = MAX_TAIL_LINES, since, timestamps = false }, deps, { signal }) => {
    const id = existingId(job_id);
    // One line more than is wanted shows whether there are more.
    const options = { tail: tail + 1, timestamps, signal, ...readSince(since) };
    return { job_id, ...(await collectTail(deps.jobs.logs(id, options), tail)) };
  },
});

export const stats = defineMethod<'ContainerService.Stats'>()({
  summary: 'What the containers of running jobs use, or that of one job: one sample each.',
  scope: 'read',
  params: z.strictObject({ job_id: jobIdField.optional() }),
  result: () => z.strictObject({ stats: z.array(statsResult()) }),
  errors: ['not_found', 'peer_unreachable'],
  handle: async ({ job_id }, deps, { signal }) => {
    const samples = await deps.jobs.stats(job_id === undefined ? undefined : existingId(job_id), signal);
    return { stats: samples.map((sample) => statsView(sample.job, sample.stats)) };
  },
});
