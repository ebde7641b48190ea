/** The head of an answer of HTTP/1: what an instance says to a handshake. */
export interface AnswerHead {
  readonly status: number;
  /** As they came: name, value, name, value. */
  readonly fields: readonly string[];
  /** Where in the bytes what follows begins. */
  readonly end: number;
}

/** What came is no answer of HTTP, or too long for one. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
}

/** Longest head, bytes. */
const MAX_HEAD_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d{2})(?: [^\r\n]*)?$/;
/** A token, a colon, and a value without what could end it or be taken for an end. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;

/** Undefined while more of it has to come. Throws an `AnswerError`. */
export function readAnswerHead(bytes: Buffer): AnswerHead | undefined {
  const end = bytes.indexOf(HEAD_END, 0, 'latin1');
  if (end > MAX_HEAD_BYTES || (end === -1 && bytes.length > MAX_HEAD_BYTES))
    throw new AnswerError(`the head of its answer is longer than ${MAX_HEAD_BYTES} bytes`);
  if (end === -1) return undefined;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = STATUS_LINE.exec(statusLine)?.[1];
  if (status === undefined) throw new AnswerError('its answer is none of HTTP');
  return { status: Number(status), fields: lines.flatMap(fieldOf), end: end + HEAD_END.length };
}

/** All values of a field, as one. The name is given in lower case. */
export function valueOf(fields: readonly string[], name: string): string | undefined {
  const values: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (fields[index]?.toLowerCase() === name) values.push(fields[index + 1] as string);
  }
  return values.length === 0 ? undefined : values.join(', ');
}

function fieldOf(line: string): [string, string] {
  const [, name, value] = FIELD.exec(line) ?? [];
  if (name === undefined || value === undefined)
    throw new AnswerError('the head of its answer is none of HTTP');
  return [name, value.trimEnd()];
}
