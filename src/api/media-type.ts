import type { RequestHead } from './head.ts';

const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*("?)utf-8\1[ \t]*)?;?[ \t]*$/i;

/** Longest Content-Type worth reading, and quoted back. */
const MAX_TYPE_LENGTH = 128;

/**
 * Whether the body is declared as JSON. Only the exact type will do, because a page of any origin may post types such
 * as `text/plain;a=application/json` without asking first. No type at all passes where no browser is involved.
 */
export function isJsonRequest(head: RequestHead): boolean {
  const type = head.contentType;
  if (type === undefined) return head.origin === undefined && head.secFetchSite === undefined;
  return type === 'application/json' || (type.length <= MAX_TYPE_LENGTH && JSON_TYPE.test(type));
}

/** The refused type, as far as it is fit to be shown. */
export function shownType(head: RequestHead): string {
  // Printable ASCII only: the text may end up on a terminal.
  return (head.contentType ?? '').slice(0, MAX_TYPE_LENGTH).replace(/[^\x20-\x7e]/g, '?');
}

/** Whether a client names plain text as what it takes, and not JSON, which is what others get. */
export function asksForText({ accept = '' }: Pick<RequestHead, 'accept'>): boolean {
  const types = accept.split(',').map((type) => (type.split(';', 1)[0] ?? '').trim().toLowerCase());
  return types.includes('text/plain') && !types.includes('application/json');
}
