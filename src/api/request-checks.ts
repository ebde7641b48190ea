import type { IncomingMessage } from 'node:http';
import type { RequestHead } from './head.ts';
import type { ApiLimits } from './limits.ts';
import type { Problem } from './replies.ts';

/** Where a request goes. */
export interface Target {
  readonly path: string;
  readonly query: string;
  /** Of a request that names the whole address, as one to a proxy does. */
  readonly authority: string | undefined;
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/i;

/** The parts of a request target; `undefined` when it is none that we answer. */
export function readTarget(url: string): Target | undefined {
  const match = url.startsWith('/') ? undefined : ABSOLUTE.exec(url);
  if (match === null) return undefined;
  const authority = match?.[1];
  const rest = match?.[2] ?? url;
  const question = rest.indexOf('?');
  const path = question === -1 ? rest : rest.slice(0, question);
  return {
    path: path === '' ? '/' : path,
    query: question === -1 ? '' : rest.slice(question + 1),
    authority,
  };
}

function problem(status: number, title: string, reason: string, detail: string): Problem {
  return { status, title, reason, detail };
}

/** Whether the head keeps to the limits and means one thing only; the problem where it does not. */
export function checkHead(
  request: IncomingMessage,
  head: RequestHead,
  limits: ApiLimits,
): Problem | undefined {
  const { maxHeaderBytes, maxHeaderCount, maxUrlBytes } = limits;
  if ((request.url ?? '').length > maxUrlBytes) {
    return problem(414, 'URI Too Long', 'url_too_long', `the URL is longer than ${maxUrlBytes} bytes`);
  }
  if (request.rawHeaders.length / 2 > maxHeaderCount) {
    return problem(
      431,
      'Request Header Fields Too Large',
      'too_many_headers',
      `more than ${maxHeaderCount} header fields`,
    );
  }
  if (head.headerBytes > maxHeaderBytes) {
    const detail = `the header fields are longer than ${maxHeaderBytes} bytes`;
    return problem(431, 'Request Header Fields Too Large', 'headers_too_large', detail);
  }
  return checkFraming(request, head);
}

/** What would let two programs see different requests in the same bytes. */
function checkFraming(request: IncomingMessage, head: RequestHead): Problem | undefined {
  const bad = (detail: string): Problem => problem(400, 'Bad Request', 'bad_framing', detail);
  if (head.duplicate !== undefined) return bad(`${head.duplicate} was sent twice`);
  if (head.host === undefined) return bad('no Host was sent');
  const { authority = head.host } = readTarget(request.url ?? '') ?? {};
  if (authority !== head.host) return bad('the request target names another host than Host does');
  if (head.transferEncoding !== undefined && head.transferEncoding.toLowerCase() !== 'chunked') {
    return bad('the only Transfer-Encoding accepted is chunked');
  }
  if (head.transferEncoding !== undefined && head.contentLength !== undefined) {
    return bad('both Content-Length and Transfer-Encoding were sent');
  }
  const hasBody = head.transferEncoding !== undefined || (head.contentLength ?? '0') !== '0';
  if (hasBody && request.method !== 'POST') return bad(`a ${request.method} request takes no body here`);
  return undefined;
}
