const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Longest text worth parsing: anything longer is not a duration a person wrote. */
const MAX_TEXT_LENGTH = 32;

/**
 * Milliseconds of a human duration: `250ms`, `30s`, `5m`, `1h30m`, `7d`; a bare `0` is zero.
 * `undefined` when the text is not one. Fractions are allowed (`1.5s`); signs are not.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (text.length === 0 || text.length > MAX_TEXT_LENGTH) return undefined;
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, value, unit] of text.matchAll(/(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)/g)) {
    totalMs += Number(value) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return Math.round(totalMs);
}

/** The shortest text that `parseDuration` reads back as the same whole milliseconds. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  if (rest === 0) return '0';
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / UNIT_MS[unit]);
    rest -= count * UNIT_MS[unit];
    if (count > 0) text += `${count}${unit}`;
  }
  return text;
}
