import { z } from 'zod';
import { jobDetailView, jobEventView, jobView } from '../views.ts';
import { defineMethod } from './definition.ts';
import { existingId, jobIdField, jobStateField, MAX_WAIT_MS, nodeIdField } from './fields.ts';
import { eventResult, jobDetailResult, jobListResult, jobResult } from './results.ts';

export const DEFAULT_LIST_LIMIT = 100;
export const MAX_LIST_LIMIT = 1_000;

/** How long `Wait` waits unless it is told otherwise. */
const DEFAULT_WAIT_MS = 60_000;

export const listParams = z.strictObject({
  states: z.array(jobStateField).max(16).optional(),
  id_prefix: z
    .string()
    .regex(/^[0-9a-f-]{1,36}$/, { error: 'must be the beginning of a job id' })
    .optional(),
  name: z.string().min(1).max(128).optional(),
  all_nodes: z.boolean().default(false).describe('jobs of other nodes, too, as far as they are known here'),
  owner: nodeIdField.optional().describe('only jobs of the node of this id'),
  limit: z.int().min(1).max(MAX_LIST_LIMIT).default(DEFAULT_LIST_LIMIT),
  cursor: z.string().min(1).max(256).optional(),
});

export const list = defineMethod<'JobService.List'>()({
  summary: 'Jobs, the newest first.',
  scope: 'read',
  params: listParams,
  result: jobListResult,
  errors: [],
  handle: ({ states, id_prefix, name, all_nodes: allNodes, owner, limit, cursor }, deps) => {
    const { jobs, nextCursor } = deps.jobs.list({
      limit,
      allNodes,
      ...(owner !== undefined && { owner }),
      ...(states !== undefined && { states }),
      ...(id_prefix !== undefined && { idPrefix: id_prefix }),
      ...(name !== undefined && { name }),
      ...(cursor !== undefined && { cursor }),
    });
    return { jobs: jobs.map(jobView), ...(nextCursor !== undefined && { next_cursor: nextCursor }) };
  },
});

export const get = defineMethod<'JobService.Get'>()({
  summary: 'A job with its spec as it was understood; values of env are hidden.',
  scope: 'read',
  params: z.strictObject({ job_id: jobIdField }),
  result: jobDetailResult,
  errors: ['not_found'],
  handle: async ({ job_id }, deps, { signal }) =>
    jobDetailView(await deps.jobs.inspect(existingId(job_id), signal)),
});

export const wait = defineMethod<'JobService.Wait'>()({
  summary: 'Answers when the job has ended, or with until "running" when it runs at least.',
  scope: 'read',
  params: z.strictObject({
    job_id: jobIdField,
    until: z.enum(['running', 'ended']).default('ended'),
    timeout_ms: z.int().min(0).max(MAX_WAIT_MS).default(DEFAULT_WAIT_MS),
  }),
  result: jobResult,
  errors: ['not_found', 'timeout', 'cancelled', 'peer_unreachable'],
  handle: async ({ job_id, until, timeout_ms }, deps, { signal }) =>
    jobView(await deps.jobs.wait(existingId(job_id), { until, timeoutMs: timeout_ms, signal })),
});

export const cancel = defineMethod<'JobService.Cancel'>()({
  summary: 'Ends a job that does not run yet.',
  scope: 'full',
  params: z.strictObject({ job_id: jobIdField }),
  result: jobResult,
  errors: ['not_found', 'invalid_state', 'peer_unreachable'],
  handle: async ({ job_id }, deps, { signal }) =>
    jobView(await deps.jobs.cancel(existingId(job_id), { signal })),
});

export const history = defineMethod<'JobService.History'>()({
  summary: 'The newest 1,000 changes of a job, the oldest of them first.',
  scope: 'read',
  params: z.strictObject({ job_id: jobIdField }),
  result: () => z.strictObject({ job_id: z.string(), events: z.array(eventResult()) }),
  errors: ['not_found', 'peer_unreachable'],
  handle: async ({ job_id }, deps, { signal }) => {
    const events = await deps.jobs.history(existingId(job_id), signal);
    return { job_id, events: events.map(jobEventView) };
  },
});
