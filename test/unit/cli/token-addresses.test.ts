import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import {
  areAllLocal,
  tokenAddresses,
  type AddressSources,
} from '../../../cmd/cli/verbs/cluster/token-addresses.ts';

const CONFIG: AddressSources['config'] = {
  p2p_port: 4001,
  listen_address: '0.0.0.0',
  'peers.listen_address': undefined,
  'peers.announce': [],
};

function network(address: string, internal = false): NetworkInterfaceInfo {
  const common = { address, netmask: '', mac: '', internal, cidr: null };
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
}

const INTERFACES: AddressSources['interfaces'] = {
  lo: [network('127.0.0.1', true), network('::1', true)],
  eth0: [network('192.0.2.7'), network('2001:db8::7'), network('fe80::1'), network('169.254.1.1')],
  gone: undefined,
};

function addresses(
  config: Partial<AddressSources['config']>,
  sources: Partial<AddressSources> = {},
): readonly string[] {
  return tokenAddresses({
    published: [],
    interfaces: INTERFACES,
    ...sources,
    config: { ...CONFIG, ...config },
  });
}

describe('the addresses of a token', () => {
  it('are those that the node is set to announce, before all others', () => {
    const announce = ['/dns4/node.example/tcp/4001'];
    expect(addresses({ 'peers.announce': announce }, { published: ['/ip4/192.0.2.9/tcp/1'] })).toEqual(
      announce,
    );
  });

  it('are those that the running node has told, before what the host has', () => {
    expect(addresses({}, { published: ['/ip4/192.0.2.9/tcp/1'] })).toEqual(['/ip4/192.0.2.9/tcp/1']);
  });

  it.each<[Partial<AddressSources['config']>, string[]]>([
    [{}, ['/ip4/192.0.2.7/tcp/4001']],
    [{ listen_address: '::' }, ['/ip4/192.0.2.7/tcp/4001', '/ip6/2001:db8::7/tcp/4001']],
    [{ listen_address: '198.51.100.1', p2p_port: 5000 }, ['/ip4/198.51.100.1/tcp/5000']],
    [{ listen_address: '127.0.0.1', 'peers.listen_address': '0.0.0.0' }, ['/ip4/192.0.2.7/tcp/4001']],
    [{ 'peers.listen_address': 'node.example' }, ['/dns/node.example/tcp/4001']],
  ])('are guessed with %j from what the host has', (config, expected) => {
    expect(addresses(config)).toEqual(expected);
  });

  it('are of the host itself where it has no other', () => {
    const found = addresses({}, { interfaces: { lo: INTERFACES['lo'] } });
    expect(found).toEqual(['/ip4/127.0.0.1/tcp/4001']);
    expect(areAllLocal(found)).toBe(true);
    expect(areAllLocal([...found, '/ip4/192.0.2.7/tcp/4001'])).toBe(false);
  });

  it('cannot be guessed where any port may be the one', () => {
    expect(() => addresses({ p2p_port: 0 })).toThrow('only a running node knows its port');
  });

  it('are at most as many as a token takes', () => {
    const many = Array.from({ length: 40 }, (_, index) => network(`192.0.2.${index + 1}`));
    expect(addresses({}, { interfaces: { eth0: many } })).toHaveLength(16);
  });
});
