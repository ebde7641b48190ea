/**
 * What a terminal would act on, or what would make text look like other text: C0 and C1 control characters, line and
 * paragraph separators, bidirectional overrides, lone surrogates.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line that a terminal shows as it is: whatever it would act on is written as an escape. */
export function printable(text: string): string {
  return text.replaceAll(UNSAFE, escapeOf);
}

function escapeOf(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : unicodeEscape(character);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The same JSON text (or double-quoted YAML), in which such characters stand as `\uXXXX`. */
export function printableJson(text: string): string {
  return text.replaceAll(UNSAFE, (character) => (character === '\n' ? character : unicodeEscape(character)));
}

export function isPrintable(text: string): boolean {
  return text.search(UNSAFE) === -1;
}

/** Select Graphic Rendition: colour, bold and the like, and nothing else. */
const COLOUR = new RegExp(`(\\u001b\\[[0-9;:]{0,32}m)`);

/** A log line for a terminal: colours and tabs stay, everything else that it would act on is escaped. */
export function printableLogLine(line: string): string {
  // What the pattern captures stands at the odd places.
  const parts = line.split(COLOUR);
  const shown = parts.map((part, index) =>
    index % 2 === 1 ? part : part.split('\t').map(printable).join('\t'),
  );
  return shown.length > 1 ? `${shown.join('')}\u001b[0m` : shown.join('');
}
