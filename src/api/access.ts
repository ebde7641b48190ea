import type { Clock } from '../kernel/clock.ts';
import { addressKey, LOOPBACK, Networks } from './address.ts';
import type { RequestHead } from './head.ts';
import { HostAllowList } from './host-allow-list.ts';
import type { AccessToken, Caller } from './tokens.ts';
import { bearerToken, TokenBook } from './tokens.ts';
import { WrongTries } from './wrong-tries.ts';

export interface AccessOptions {
  /** `none` serves whoever can connect; everything else about Host and Origin stays. */
  readonly mode: 'token' | 'none';
  readonly tokens: readonly AccessToken[];
  /** Networks whose addresses count as loopback does. */
  readonly trustedNetworks: readonly string[];
  /** Names, besides localhost, under which clients reach this node. */
  readonly allowedHosts: readonly string[];
  /** Origins of web pages that may call, such as `https://console.example`. */
  readonly allowedOrigins: readonly string[];
}

/** What is known of a connection before its first request. */
export interface Peer {
  readonly addressKey: string;
  /** On this host or in a trusted network. */
  readonly isTrusted: boolean;
}

export interface Refusal {
  readonly status: 401 | 403 | 421 | 429 | 503;
  readonly reason: 'unauthenticated' | 'forbidden' | 'misdirected' | 'too_many_tries' | 'starting';
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** Whoever is served without a token. */
const LOCAL_CALLER: Caller = { name: 'local', scope: 'full' };

const WRONG_HOST: Refusal = {
  status: 421,
  reason: 'misdirected',
  message:
    'the Host header does not name this node: use its address or localhost, or add the name to auth.allowed_hosts',
};
const WRONG_ORIGIN: Refusal = {
  status: 403,
  reason: 'forbidden',
  message: 'requests from this web page are refused: add its origin to auth.allowed_origins to let it in',
};
const NO_TOKEN_CONFIGURED: Refusal = {
  status: 401,
  reason: 'unauthenticated',
  message:
    'only clients on the node itself are served, because no token is configured: set auth.tokens and send ' +
    '"Authorization: Bearer TOKEN", or name the client\'s network in auth.trusted_networks',
};
const TOKEN_NEEDED: Refusal = {
  status: 401,
  reason: 'unauthenticated',
  message: 'a token is needed: send "Authorization: Bearer TOKEN" with one of auth.tokens',
};
const TOKEN_WRONG: Refusal = {
  status: 401,
  reason: 'unauthenticated',
  message: 'the token is wrong: send "Authorization: Bearer TOKEN" with one of auth.tokens',
};

/** Decides who is served. Asked for every request, before anything else of it is looked at. */
export class Access {
  readonly #mode: AccessOptions['mode'];
  readonly #tokens: TokenBook;
  readonly #trusted: Networks;
  readonly #hosts: HostAllowList;
  readonly #origins: ReadonlySet<string>;
  readonly #wrongTries: WrongTries;

  /** Throws a RangeError when a trusted network is not one. */
  constructor(options: AccessOptions, deps: { readonly clock: Clock }) {
    this.#mode = options.mode;
    this.#tokens = new TokenBook(options.tokens);
    this.#trusted = new Networks(options.trustedNetworks);
    this.#hosts = new HostAllowList(options.allowedHosts);
    this.#origins = new Set(options.allowedOrigins.map((origin) => origin.toLowerCase()));
    this.#wrongTries = new WrongTries(deps.clock);
  }

  /** What is decided once per connection. */
  peerOf(address: string): Peer {
    return {
      addressKey: addressKey(address),
      isTrusted: LOOPBACK.has(address) || this.#trusted.has(address),
    };
  }

  /** Whether the request was meant for this node, and comes neither from a rebound name nor from a foreign page. */
  checkOrigin(head: RequestHead): Refusal | undefined {
    if (head.duplicate === 'host' || !this.#hosts.allows(head.host)) return WRONG_HOST;
    if (head.origin !== undefined) return this.allowsOrigin(head.origin) ? undefined : WRONG_ORIGIN;
    const site = head.secFetchSite;
    return site === undefined || site === 'same-origin' || site === 'none' ? undefined : WRONG_ORIGIN;
  }

  allowsOrigin(origin: string): boolean {
    return this.#origins.has(origin.toLowerCase());
  }

  /** Who asks, or why they are not served. A presented token is always checked, where there are tokens at all. */
  authenticate(peer: Peer, head: RequestHead): Caller | Refusal {
    if (this.#mode === 'none') return LOCAL_CALLER;
    if (head.authorization !== undefined && !this.#tokens.isEmpty)
      return this.#verify(peer, head.authorization);
    // A proxy on this host speaks for clients that are elsewhere.
    if (peer.isTrusted && !head.isForwarded) return LOCAL_CALLER;
    return this.#tokens.isEmpty ? NO_TOKEN_CONFIGURED : TOKEN_NEEDED;
  }

  #verify(peer: Peer, authorization: string): Caller | Refusal {
    const waitMs = this.#wrongTries.waitMs(peer.addressKey);
    if (waitMs > 0) {
      const message = `too many wrong tokens from this address: wait ${Math.ceil(waitMs / 1000)} s`;
      return { status: 429, reason: 'too_many_tries', message, retryAfterMs: Math.ceil(waitMs) };
    }
    const token = bearerToken(authorization);
    const caller = token === undefined ? undefined : this.#tokens.find(token);
    if (caller !== undefined) return caller;
    this.#wrongTries.add(peer.addressKey);
    return TOKEN_WRONG;
  }
}
