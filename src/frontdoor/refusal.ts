import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** Why a connection is not led anywhere, as its client is told before anything is upgraded. */
export interface Refusal {
  readonly status: number;
  /** One sentence for people, and for programs that match it. */
  readonly text: string;
  /** When coming again can help. */
  readonly retryAfterMs?: number;
  /** Further header fields: name, value, name, value. */
  readonly headers?: readonly string[];
}

/** Longest text that is passed on, characters: some of it is written by others. */
const MAX_TEXT_LENGTH = 2_000;
/** For the client to take the answer, ms. */
const LINGER_MS = 2_000;

/** Answers with the refusal in plain text, and ends the connection once the client has it. */
export function sendRefusal(socket: Duplex, refusal: Refusal): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status, text, retryAfterMs, headers = [] } = refusal;
  const body = Buffer.from(`${text.slice(0, MAX_TEXT_LENGTH).toWellFormed()}\n`);
  const fields = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(body.length)];
  fields.push('Connection', 'close', 'X-Content-Type-Options', 'nosniff');
  if (retryAfterMs !== undefined) fields.push('Retry-After', String(Math.ceil(retryAfterMs / 1000)));
  socket.write(headOf(status, [...fields, ...headers]));
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  // What the client still sends is not read by anybody; unread it would turn the end into a reset, and the answer be lost.
  socket.resume();
  socket.end(body);
}

/** The head of an answer. Every value comes from us, or was checked. */
export function headOf(status: number, fields: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n`;
  for (let index = 0; index + 1 < fields.length; index += 2)
    head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${head}\r\n`;
}
