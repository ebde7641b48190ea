import { isIPv4, isIPv6 } from 'node:net';

/** How many allowed spellings are remembered; parsing another one costs a microsecond. */
const CACHE_ENTRIES = 64;

/** Longest Host worth reading: a name has 253 characters, and a port follows. */
const MAX_HOST_LENGTH = 260;

const HOST = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;

/**
 * Which `Host` values are ours. An address cannot be rebound, so every address in its usual spelling is; a name is
 * ours when it is `localhost` or was declared. The port is free: a published one differs from the one listened on.
 */
export class HostAllowList {
  readonly #names: ReadonlySet<string>;
  readonly #cache = new Set<string>();

  constructor(names: readonly string[]) {
    this.#names = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  }

  allows(host: string | undefined): boolean {
    if (host === undefined || host.length > MAX_HOST_LENGTH) return false;
    if (this.#cache.has(host)) return true;
    if (!this.#isOurs(host)) return false;
    if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
    this.#cache.add(host);
    return true;
  }

  #isOurs(host: string): boolean {
    const match = HOST.exec(host);
    if (match === null) return false;
    const [, name = '', port] = match;
    if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return false;
    if (name.startsWith('[')) return isUsualIPv6(name.slice(1, -1).toLowerCase());
    if (isIPv4(name)) return name !== '0.0.0.0';
    return this.#names.has(name.toLowerCase());
  }
}

/** Whether it is an IPv6 address in the one spelling that browsers send, and stands for one host. */
function isUsualIPv6(address: string): boolean {
  if (!isIPv6(address) || address === '::' || address.startsWith('::ffff:')) return false;
  return new URL(`http://[${address}]/`).hostname === `[${address}]`;
}
