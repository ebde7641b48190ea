const CODES = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  cyan: '36',
} as const;
export type Style = keyof typeof CODES;

/** Puts a style around a text, or leaves it as it is where there are no colours. */
export type Paint = (style: Style | undefined, text: string) => string;

export const paintNothing: Paint = (_style, text) => text;

export const paintAnsi: Paint = (style, text) =>
  style === undefined || text === '' ? text : `\u001b[${CODES[style]}m${text}\u001b[0m`;
