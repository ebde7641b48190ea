import { formatDuration, parseDuration } from '../kernel/duration.ts';
import { formatSize, parseSize } from '../kernel/size.ts';
import { asIs, isPlainText, type SettingType } from './setting-type.ts';

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number within `range`, both ends included. */
export function integer(range: Range & { readonly unit?: string } = {}): SettingType<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, unit } = range;
  return {
    allowed: `a whole number ${describe(min, range.max, String)}`,
    placeholder: 'int',
    ...(unit === undefined ? {} : { unit }),
    read(input) {
      const value = numberOf(input, /^-?\d{1,16}$/);
      return value !== undefined && Number.isSafeInteger(value) && value >= min && value <= max
        ? value
        : undefined;
    },
    show: asIs,
  };
}

/** A number within `range`, fractions included. */
export function decimal(range: Range & { readonly unit?: string } = {}): SettingType<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, unit } = range;
  return {
    allowed: `a number ${describe(min, range.max, String)}`,
    placeholder: 'number',
    ...(unit === undefined ? {} : { unit }),
    read(input) {
      const value = numberOf(input, /^-?\d{1,15}(?:\.\d{1,9})?$/);
      return value !== undefined && Number.isFinite(value) && value >= min && value <= max
        ? value
        : undefined;
    },
    show: asIs,
  };
}

/** A TCP port to listen on; 0 lets the system choose a free one. */
export function port(): SettingType<number> {
  return {
    ...integer({ min: 0, max: 65_535 }),
    allowed: 'a port from 0 to 65535 (0: any free one)',
    placeholder: 'string',
  };
}

/** Ten years: whoever means longer means for ever. */
const MAX_DURATION_MS = 3650 * 86_400_000;

/** A length of time with its unit; ms in code. A bare `0` is the only number that needs none. */
export function duration(range: Range = {}): SettingType<number> {
  const { min = 0, max = MAX_DURATION_MS } = range;
  return {
    allowed: `a duration such as 250ms, 30s, 5m or 7d${within(range, formatDuration)}`,
    placeholder: 'duration',
    unit: 'ms',
    read(input) {
      const value = input === 0 ? 0 : isPlainText(input) ? parseDuration(input) : undefined;
      return value !== undefined && value >= min && value <= max ? value : undefined;
    },
    show: (value) => (value === 0 ? 0 : formatDuration(value)),
  };
}

/** An amount of memory or of data; bytes in code. */
export function size(range: Range = {}): SettingType<number> {
  const { min = 0, max = 1024 ** 5 } = range;
  return {
    allowed: `a size such as 64k, 512m or 1g${within(range, formatSize)}`,
    placeholder: 'size',
    unit: 'bytes',
    read(input) {
      const text = typeof input === 'number' ? String(input) : input;
      const value = isPlainText(text) ? parseSize(text) : undefined;
      return value !== undefined && value >= min && value <= max ? value : undefined;
    },
    show: formatSize,
  };
}

function numberOf(input: unknown, pattern: RegExp): number | undefined {
  if (typeof input === 'number') return input;
  return isPlainText(input) && pattern.test(input) ? Number(input) : undefined;
}

function describe(min: number, max: number | undefined, format: (value: number) => string): string {
  return max === undefined ? `of at least ${format(min)}` : `from ${format(min)} to ${format(max)}`;
}

/** The range of a value with a unit, where there is more to say than that it is not negative. */
function within({ min = 0, max }: Range, format: (value: number) => string): string {
  return min === 0 && max === undefined ? '' : `, ${describe(min, max, format)}`;
}

/** A million: far above what one host runs, and low enough that a count cannot eat the memory. */
const MAX_COUNT = 1_000_000;

export function count(min: number, unit: string): SettingType<number> {
  return integer({ min, max: MAX_COUNT, unit });
}
