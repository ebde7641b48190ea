import { UsageError } from '../cli-error.ts';

/** `NAME=VALUE`, or `NAME` for an empty value. The last one of a name counts. */
export function readLabels(labels: readonly string[]): Record<string, string> {
  const read = new Map<string, string>();
  for (const label of labels) {
    const equals = label.indexOf('=');
    const name = equals === -1 ? label : label.slice(0, equals);
    if (name === '') throw new UsageError(`--label ${JSON.stringify(label)} must be NAME=VALUE`);
    read.set(name, equals === -1 ? '' : label.slice(equals + 1));
  }
  return Object.fromEntries(read);
}
