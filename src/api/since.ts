import { parseDuration } from '../kernel/duration.ts';
import { invalidParams } from './params.ts';

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** The wall clock in ms that `text` stands for: an RFC 3339 time, or a duration such as `5m` before now. */
export function parseSince(text: string, nowMs: number): number | undefined {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return Math.max(0, nowMs - agoMs);
  if (!RFC3339.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** `parseSince` for a field named `since`; fails with `invalid_params`. */
export function readSince(text: string, nowMs: number): number {
  const sinceMs = parseSince(text, nowMs);
  if (sinceMs !== undefined) return sinceMs;
  const message = 'must be an RFC 3339 time, or a duration such as 5m';
  throw invalidParams([{ path: 'since', message, value: text }]);
}
