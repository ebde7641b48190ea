import type { JobLogsOptions } from '../jobs/jobs.ts';
import { parseDuration } from '../kernel/duration.ts';
import { invalidParams } from './params.ts';

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** From when a log is wanted. */
export type Since = Pick<JobLogsOptions, 'sinceMs' | 'sinceAgoMs'>;

/** What `text` stands for: an RFC 3339 time, or a duration such as `5m` before now, whose clock is that of the job's owner. */
export function parseSince(text: string): Since | undefined {
  const sinceAgoMs = parseDuration(text);
  if (sinceAgoMs !== undefined) return { sinceAgoMs };
  if (!RFC3339.test(text)) return undefined;
  const sinceMs = Date.parse(text);
  return Number.isNaN(sinceMs) ? undefined : { sinceMs };
}

/** `parseSince` for a field named `since`, which need not be there; fails with `invalid_params`. */
export function readSince(text: string | undefined): Since {
  if (text === undefined) return {};
  const since = parseSince(text);
  if (since !== undefined) return since;
  const message = 'must be an RFC 3339 time, or a duration such as 5m';
  throw invalidParams([{ path: 'since', message, value: text }]);
}
