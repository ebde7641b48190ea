import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import type { Config } from '../../../../src/config/settings.ts';
import { MAX_JOIN_TOKEN_ADDRESSES } from '../../../../src/peers/join-token.ts';
import { UsageError } from '../../cli-error.ts';

export interface AddressSources {
  readonly config: Pick<Config, 'p2p_port' | 'listen_address' | 'peers.listen_address' | 'peers.announce'>;
  /** Those that the running node has told. */
  readonly published: readonly string[];
  /** As `networkInterfaces` of `node:os` gives them. */
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/** Where a node is probably reached by others: as it is set, as it says itself, or as the host has addresses. */
export function tokenAddresses({ config, published, interfaces }: AddressSources): readonly string[] {
  const announced = config['peers.announce'];
  const addresses =
    announced.length > 0
      ? announced
      : published.length > 0
        ? published
        : guessed(
            config,
            Object.values(interfaces)
              .flat()
              .filter((found) => found !== undefined),
          );
  return addresses.slice(0, MAX_JOIN_TOKEN_ADDRESSES);
}

function guessed(
  config: AddressSources['config'],
  interfaces: readonly NetworkInterfaceInfo[],
): readonly string[] {
  const { p2p_port: port } = config;
  if (port === 0) {
    throw new UsageError(
      'p2p_port is 0, so only a running node knows its port',
      'start the node, or give --address /ip4/ADDRESS/tcp/PORT',
    );
  }
  return hosts(config['peers.listen_address'] ?? config.listen_address, interfaces).map(
    (host) => `${hostPart(host)}/tcp/${port}`,
  );
}

/** The addresses behind one that stands for all; those of the host itself only where there is no other. */
function hosts(listenAddress: string, interfaces: readonly NetworkInterfaceInfo[]): readonly string[] {
  if (listenAddress !== '0.0.0.0' && listenAddress !== '::') return [listenAddress];
  const own = interfaces.filter(({ family }) => listenAddress === '::' || family === 'IPv4');
  // What is valid on one link only cannot be told without naming the link.
  const outward = own.filter(
    ({ internal, address }) => !internal && !/^(?:169\.254\.|fe[89ab])/i.test(address),
  );
  return outward.length > 0 ? outward.map(({ address }) => address) : ['127.0.0.1'];
}

function hostPart(host: string): string {
  const version = isIP(host);
  return version === 0 ? `/dns/${host}` : `/ip${version}/${host}`;
}

/** Whether nobody on another host could connect to any of them. */
export function areAllLocal(addresses: readonly string[]): boolean {
  return addresses.every((address) => /^\/(?:ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/.test(address));
}
