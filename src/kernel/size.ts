const UNIT_BYTES = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;

/** Longest text worth parsing: anything longer is not a size a person wrote. */
const MAX_TEXT_LENGTH = 40;

/**
 * Bytes of a human size: `512m`, `1g`, `0.5g`, `64k`, `1024` (bytes); `KiB`-style and `KB`-style endings
 * are read as powers of 1024, as Docker does. `undefined` when the text is not a size.
 */
export function parseSize(text: string): number | undefined {
  if (text.length > MAX_TEXT_LENGTH) return undefined;
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?(?:b|([kmgt])(?:i?b)?)?$/i.exec(text);
  if (match === null) return undefined;
  const unit = (match[2]?.toLowerCase() ?? 'b') as keyof typeof UNIT_BYTES;
  const bytes = Math.round(Number(match[1]) * UNIT_BYTES[unit]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that `parseSize` reads back as the same bytes, for example `512m`. */
export function formatSize(bytes: number): string {
  for (const unit of ['t', 'g', 'm', 'k'] as const) {
    if (bytes !== 0 && bytes % UNIT_BYTES[unit] === 0) return `${bytes / UNIT_BYTES[unit]}${unit}`;
  }
  return String(bytes);
}
