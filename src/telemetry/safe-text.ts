/** Longest text of one field of a log line, in UTF-16 units. */
export const MAX_FIELD_LENGTH = 256;

/**
 * What a terminal, a pager or a log viewer might obey instead of showing: C0 and C1 controls, DEL, line and paragraph
 * separators, marks that change the direction of text, the byte order mark, and halves of characters.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The text in one harmless line of at most `MAX_FIELD_LENGTH`, unsafe characters written as `\u001b`. */
export function safeText(text: string): string {
  const isLong = text.length > MAX_FIELD_LENGTH;
  const escaped = (isLong ? text.slice(0, MAX_FIELD_LENGTH) : text).replaceAll(UNSAFE, escapeOf);
  if (!isLong && escaped.length <= MAX_FIELD_LENGTH) return escaped;
  // The cut may go through a character.
  return `${escaped.slice(0, MAX_FIELD_LENGTH - CUT_MARK.length)}${CUT_MARK}`.toWellFormed();
}

const CUT_MARK = '...';

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
