import type { Words } from './talker.ts';

/**
 * How long it took each word to each of the others, ms; Infinity for one that never came. A later version of the same thing counts
 * as well: who has that has missed nothing.
 */
export function lagsOf(talkers: readonly Words[]): number[] {
  return talkers.flatMap(({ said }, speaker) =>
    talkers.flatMap(({ heard }, hearer) => (hearer === speaker ? [] : lagsTo(said, heard))),
  );
}

function lagsTo(said: Words['said'], heard: Words['heard']): number[] {
  const arrivals = new Map<string, { version: number; atMs: number }[]>();
  for (const [key, version, atMs] of heard) {
    const known = arrivals.get(key);
    if (known === undefined) arrivals.set(key, [{ version, atMs }]);
    else known.push({ version, atMs });
  }
  return said.map(([key, version, saidAtMs]) => {
    const times = (arrivals.get(key) ?? []).filter((arrival) => arrival.version >= version);
    return Math.min(Number.POSITIVE_INFINITY, ...times.map(({ atMs }) => atMs)) - saidAtMs;
  });
}
