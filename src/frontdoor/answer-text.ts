import { valueOf, type AnswerHead } from './answer-head.ts';

/** Longest text of a refusal that is read, bytes. */
const MAX_TEXT_BYTES = 4 * 1024;
const LAST_CHUNK = '0\r\n\r\n';

/** Whether this is all of the text behind the head, or as much of it as is read; otherwise it goes on until the connection ends. */
export function isWholeText(head: AnswerHead, body: Buffer): boolean {
  if (body.length >= MAX_TEXT_BYTES) return true;
  if (isChunked(head)) return body.toString('latin1').endsWith(LAST_CHUNK);
  const length = valueOf(head.fields, 'content-length');
  return length !== undefined && body.length >= Number(length);
}

export function textOf(head: AnswerHead, body: Buffer): string {
  const length = valueOf(head.fields, 'content-length');
  const text = isChunked(head) ? joinChunks(body) : body.subarray(0, Number(length ?? body.length));
  return text.subarray(0, MAX_TEXT_BYTES).toString('utf8').trim();
}

function isChunked({ fields }: AnswerHead): boolean {
  return valueOf(fields, 'transfer-encoding')?.toLowerCase() === 'chunked';
}

function joinChunks(body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = body.indexOf('\r\n', at);
    const length = lineEnd === -1 ? Number.NaN : Number.parseInt(body.toString('latin1', at, lineEnd), 16);
    if (!(length > 0)) return Buffer.concat(pieces);
    pieces.push(body.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}
