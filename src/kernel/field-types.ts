import { z } from 'zod';
import { parseDuration } from './duration.ts';
import { parseSize } from './size.ts';

/** What fields of requests and files have in common: units as people write them in, ms and bytes out. */

export const FIELD_LIMITS = {
  maxCpus: 1024,
  maxMemoryBytes: 64 * 1024 ** 4,
  minMemoryBytes: 6 * 1024 ** 2,
  maxPids: 4_194_304,
  maxDurationMs: 365 * 86_400_000,
} as const;

/** NUL cannot be an argument or an environment value of any process. */
export const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0'), { error: 'must not contain a NUL character' });

const DURATION_TEXT = 'must be a duration such as 30s, 5m or 1h30m, or whole milliseconds';

export const duration = z
  .union([z.string(), z.number()], { error: DURATION_TEXT })
  .transform((value, context) => {
    const ms =
      typeof value === 'number'
        ? Number.isSafeInteger(value) && value >= 0
          ? value
          : undefined
        : parseDuration(value);
    if (ms === undefined || ms > FIELD_LIMITS.maxDurationMs) {
      context.addIssue({ code: 'custom', message: DURATION_TEXT });
      return z.NEVER;
    }
    return ms;
  });

const SIZE_TEXT = 'must be a size such as 512m or 1g, or whole bytes';

export const memory = z.union([z.string(), z.number()], { error: SIZE_TEXT }).transform((value, context) => {
  const bytes = typeof value === 'number' ? value : parseSize(value);
  if (bytes === undefined || !Number.isSafeInteger(bytes)) {
    context.addIssue({ code: 'custom', message: SIZE_TEXT });
    return z.NEVER;
  }
  if (bytes < FIELD_LIMITS.minMemoryBytes || bytes > FIELD_LIMITS.maxMemoryBytes) {
    context.addIssue({ code: 'custom', message: 'must be between 6m and 64t' });
    return z.NEVER;
  }
  return bytes;
});

const CPU_TEXT = `must be a number of cores between 0.01 and ${FIELD_LIMITS.maxCpus}`;

export const cpu = z.union([z.string(), z.number()], { error: CPU_TEXT }).transform((value, context) => {
  const cpus =
    typeof value === 'number' ? value : /^\d{1,4}(\.\d{1,3})?$/.test(value) ? Number(value) : Number.NaN;
  if (!(cpus >= 0.01 && cpus <= FIELD_LIMITS.maxCpus)) {
    context.addIssue({ code: 'custom', message: CPU_TEXT });
    return z.NEVER;
  }
  return cpus;
});

export const pids = z.int().min(1).max(FIELD_LIMITS.maxPids);

export const portNumber = z.int().min(1).max(65_535);

export const envName = z
  .string()
  .regex(/^[^=\0]{1,256}$/, { error: 'must be 1 to 256 characters without = and NUL' });

export const record = <Name extends z.ZodType<string, string>>(
  name: Name,
  valueLength: number,
  maxCount: number,
) =>
  z.record(name, text(valueLength)).refine((entries) => Object.keys(entries).length <= maxCount, {
    error: `must have at most ${maxCount} entries`,
  });
