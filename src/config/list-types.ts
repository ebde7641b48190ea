import { isIP, isIPv4 } from 'node:net';
import { isHost } from '../kernel/host.ts';
import { isNodeId, parsePeerAddress } from '../kernel/peer-address.ts';
import { isPlainText, type SettingType } from './setting-type.ts';

/** Most entries of one list: enough for every network and name of a big installation. */
export const MAX_LIST_ENTRIES = 256;

/** Texts that all pass `isEntry`: a YAML list, or one text with commas between them. */
export function list(allowed: string, isEntry: (entry: string) => boolean): SettingType<readonly string[]> {
  return {
    allowed: `a list of ${allowed}`,
    placeholder: 'list',
    read(input) {
      const entries = typeof input === 'string' ? splitList(input) : input;
      if (!Array.isArray(entries) || entries.length > MAX_LIST_ENTRIES) return undefined;
      const isRight = entries.every((entry) => isPlainText(entry) && isEntry(entry));
      return isRight ? Object.freeze([...(entries as string[])]) : undefined;
    },
    show: (entries) => [...entries],
  };
}

export function splitList(text: string): string[] {
  return text.trim() === '' ? [] : text.split(',').map((entry) => entry.trim());
}

/** Networks such as `10.0.0.0/8` or `fd00::/8`; an address alone is the network of one host. */
export function networkList(): SettingType<readonly string[]> {
  return list('networks such as `10.0.0.0/8` or `fd00::/8`', isNetwork);
}

function isNetwork(entry: string): boolean {
  const [address = '', prefix, ...rest] = entry.split('/');
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (isIPv4(address) ? 32 : 128);
}

export function addressList(): SettingType<readonly string[]> {
  return list('IP addresses', (entry) => isIP(entry) !== 0 && !entry.includes('%'));
}

export function hostList(): SettingType<readonly string[]> {
  return list('host names', isHost);
}

/** Names as engines take them for networks. */
export function nameList(): SettingType<readonly string[]> {
  return list('names', (entry) => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(entry));
}

/** Registries as they stand in an image reference: a host, with a port where it is not the usual one. */
export function registryList(): SettingType<readonly string[]> {
  return list('registries such as `registry.example:5000`', (entry) => {
    const match = /^([^:]{1,253})(?::(\d{1,5}))?$/.exec(entry);
    return (
      match !== null &&
      isHost(match[1] ?? '') &&
      Number(match[2] ?? 1) >= 1 &&
      Number(match[2] ?? 1) <= 65_535
    );
  });
}

/** Origins as browsers send them: scheme, host and, where it is not the usual one, port. */
export function originList(): SettingType<readonly string[]> {
  return list('origins such as `https://console.example`', (entry) => {
    if (!/^https?:\/\/[^/]{1,260}$/.test(entry) || !URL.canParse(entry)) return false;
    return new URL(entry).origin === entry.toLowerCase();
  });
}

/** Addresses of peers (https://github.com/multiformats/multiaddr): a host and a TCP port, with the peer's id where it is known. */
export function multiaddrList(): SettingType<readonly string[]> {
  return list(
    'addresses such as `/ip4/192.0.2.7/tcp/4001` or `/dns4/node.example/tcp/4001/p2p/12D3…`',
    (entry) => parsePeerAddress(entry) !== undefined,
  );
}

export function peerIdList(): SettingType<readonly string[]> {
  return list('ids of nodes, as `cluster id` shows them', isNodeId);
}
