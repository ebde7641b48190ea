import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { CODE_P2P, multiaddr, type Multiaddr } from '@multiformats/multiaddr';

/** Where to listen, as a multiaddr. A name stands for the first of its addresses. */
export async function listenMultiaddr(host: string, port: number): Promise<string> {
  const ip = isIP(host) === 0 ? (await lookup(host)).address : host;
  return `/ip${isIP(ip)}/${ip}/tcp/${port}`;
}

/** Of a node's own addresses those that others may find it at: loopback only where there is nothing else. */
export function reachable(addresses: readonly string[]): string[] {
  const usable = addresses.filter((address) => !isLinkLocal(address));
  const beyond = usable.filter((address) => !isLoopback(address));
  return beyond.length > 0 ? beyond : usable;
}

/** Where a connected peer may be found again: where it was dialled, then where it says it listens. */
export function addressesOfPeer(
  dialled: Multiaddr | undefined,
  remote: Multiaddr,
  told: readonly Multiaddr[],
): string[] {
  // Loopback of another host is no way to it.
  const isNear = isLoopback(remote.toString());
  const usable = told
    .map(withoutPeer)
    .filter((address) => (isNear || !isLoopback(address)) && !isLinkLocal(address));
  return [...new Set([...(dialled === undefined ? [] : [withoutPeer(dialled)]), ...usable])];
}

/** The peer that a multiaddr names, and the address without it. Fails for what is no multiaddr. */
export function splitAddress(address: string): {
  readonly peer: string | undefined;
  readonly address: string;
} {
  const parsed = multiaddr(address);
  const peer = parsed.getComponents().findLast(({ code }) => code === CODE_P2P)?.value;
  return { peer, address: withoutPeer(parsed) };
}

/** Whether a multiaddr is an address and a TCP port, and needs nobody to say what a name stands for. */
export function isPlain(address: string): boolean {
  return /^\/ip[46]\/[^/]+\/tcp\/\d+$/.test(address);
}

/** The same address for every address that its name stands for now; itself where it has none. */
export async function resolved(address: string): Promise<string[]> {
  const match = /^\/dns([46]?)\/([^/]+)(\/tcp\/\d+)$/.exec(address);
  if (match === null) return [address];
  const [, family, name = '', rest = ''] = match;
  const found = await lookup(name, { all: true, family: Number(family) });
  return found.map(({ address: ip, family: kind }) => `/ip${kind}/${ip}${rest}`);
}

function withoutPeer(address: Multiaddr): string {
  return address.decapsulateCode(CODE_P2P).toString();
}

function isLoopback(address: string): boolean {
  return /^\/(?:ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/.test(address);
}

/** Means another network on each host. */
function isLinkLocal(address: string): boolean {
  return /^\/(?:ip6zone\/|ip6\/fe80:|ip4\/169\.254\.)/.test(address);
}
