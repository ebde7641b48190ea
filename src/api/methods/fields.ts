import { z } from 'zod';
import { parseDuration } from '../../kernel/duration.ts';
import type { JobId, NodeId } from '../../kernel/ids.ts';
import { isJobId } from '../../kernel/ids.ts';
import { isNodeId } from '../../kernel/peer-address.ts';
import { JOB_STATES } from '../../jobs/job.ts';
import type { JobState } from '../../jobs/job.ts';
import { JobError } from '../../jobs/errors.ts';

/** Fields that several methods take. */

/** Any text: one that is no id names no job, which is another answer than a malformed request. */
export const jobIdField = z.string().min(1).max(128).describe('id of a job');

/** A libp2p peer id. */
export const nodeIdField = z
  .string()
  .refine((text): text is NodeId => isNodeId(text), { error: 'must be the id of a node' });

export const jobStateField = z.enum(Object.keys(JOB_STATES) as [JobState, ...JobState[]]);

/** Longest time a call may wait for something to happen. */
export const MAX_WAIT_MS = 600_000;

export const waitField = z.int().min(0).max(MAX_WAIT_MS).describe('how long to wait for it, in ms');

export const durationField = z
  .union([z.string(), z.number()])
  .transform((value, context) => {
    const ms = typeof value === 'string' ? parseDuration(value) : value;
    if (ms === undefined || !Number.isSafeInteger(ms) || ms < 0 || ms > MAX_WAIT_MS) {
      context.addIssue({
        code: 'custom',
        message: 'must be a duration up to 10m, such as 30s, or whole milliseconds',
      });
      return z.NEVER;
    }
    return ms;
  })
  .describe('a duration such as 30s, or whole milliseconds');

export const noParams = z.strictObject({});

/** The id, or `not_found`: text that is no id at all belongs to no job either. */
export function existingId(text: string): JobId {
  if (isJobId(text)) return text;
  throw new JobError('not_found', `there is no job ${JSON.stringify(text)}`, { details: { job_id: text } });
}
