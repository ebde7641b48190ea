import { BlockList, isIP } from 'node:net';

/** How an IPv4 peer looks on a socket that listens for both families. */
const MAPPED_PREFIX = '::ffff:';

/** The IPv4 address inside an IPv4-mapped one; any other address as it is, without its zone. */
export function plainAddress(address: string): string {
  const lower = address.toLowerCase();
  const unmapped = lower.startsWith(MAPPED_PREFIX) ? lower.slice(MAPPED_PREFIX.length) : lower;
  if (isIP(unmapped) === 4) return unmapped;
  const zone = lower.indexOf('%');
  return zone === -1 ? lower : lower.slice(0, zone);
}

/**
 * What is counted as one address: an IPv4 address, or the /64 of an IPv6 one, since a single host has 2^64 of those.
 */
export function addressKey(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [before = '', after] = plain.split('::');
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const zeros =
    after === undefined ? [] : Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}

/** A set of networks, such as `10.0.0.0/8`, `::1` or `192.168.1.7`. */
export class Networks {
  readonly #list = new BlockList();

  /** Throws a RangeError that names the text which is neither an address nor a network. */
  constructor(networks: readonly string[]) {
    for (const network of networks) this.#add(network);
  }

  has(address: string): boolean {
    const plain = plainAddress(address);
    const family = isIP(plain);
    if (family === 0) return false;
    return this.#list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  }

  #add(network: string): void {
    const [address = '', prefixText, ...rest] = network.split('/');
    const family = isIP(address);
    const maxPrefix = family === 4 ? 32 : 128;
    const prefix =
      prefixText === undefined ? maxPrefix : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : -1;
    if (family === 0 || rest.length > 0 || prefix < 0 || prefix > maxPrefix) {
      throw new RangeError(`"${network}" is not a network such as 10.0.0.0/8 or fd00::/8`);
    }
    this.#list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** Peers that can only be programs of this host. */
export const LOOPBACK = new Networks(['127.0.0.0/8', '::1']);
