import { RpcError } from './rpc-error.ts';

/** Where a node listens unless it is told otherwise. */
const DEFAULT_PORT = 8080;

/** Where a node is reached. */
export interface NodeAddress {
  readonly isTls: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** As a person would write it, for messages. */
  readonly text: string;
}

/**
 * `localhost:8080`, `[::1]:8080`, `host` (port 8080), `http://host`, `https://host:8443`. Fails with `invalid_address`.
 * A path, a query or a password in it would be silently dropped, so they are refused.
 */
export function parseNodeAddress(text: string): NodeAddress {
  const hasScheme = /^https?:\/\//i.test(text);
  const url = URL.canParse(hasScheme ? text : `http://${text}`)
    ? new URL(hasScheme ? text : `http://${text}`)
    : undefined;
  const isPlain =
    url !== undefined &&
    url.hostname !== '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === '' &&
    url.username === '' &&
    url.password === '';
  if (!isPlain || url.port === '0') {
    throw new RpcError('invalid_address', `invalid address ${JSON.stringify(text.slice(0, 200))}`, {
      details: { allowed: 'localhost:8080, [::1]:8080, http://HOST:PORT or https://HOST:PORT' },
    });
  }
  const isTls = url.protocol === 'https:';
  const port = url.port === '' ? impliedPort(text, hasScheme, isTls) : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { isTls, host, port, text: `${isTls ? 'https://' : ''}${url.hostname}:${port}` };
}

/** `URL` drops a port that is its scheme's own, so `host:80` is told from `host` by the text. */
function impliedPort(text: string, hasScheme: boolean, isTls: boolean): number {
  if (isTls) return 443;
  return hasScheme || /:80\/?$/.test(text) ? 80 : DEFAULT_PORT;
}
