import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../../src/kernel/duration.ts';

/** Reads a whole number within the bounds, both included. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** Reads `30s`, `5m`, `1h30m` as ms. */
export function durationMs(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError('It must be a duration such as 30s, 5m or 1h30m.');
  return value;
}

/** Checks a duration that the node is to read. */
export function durationText(text: string): string {
  durationMs(text);
  return text;
}

/** Collects the values of an option that can be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
