import { RpcError } from '../../../../src/api/client.ts';
import type { PeerView } from '../../../../src/api/wire.ts';
import type { Config } from '../../../../src/config/settings.ts';
import { messageOf } from '../../../../src/kernel/errors.ts';
import type { Cli } from '../../cli.ts';
import { clientOf, type ClientOptions } from '../../client-options.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { listenOnce } from './listen-once.ts';

const NODE_TIMEOUT_MS = 3_000;

type PeerSettings = Pick<Config, 'listen_address' | 'p2p_port' | 'peers.enabled' | 'peers.listen_address'>;

/** How a running node's peers stand; or whether its peers could connect to one that is started here. */
export async function checkPeers(config: PeerSettings, options: ClientOptions, cli: Cli): Promise<Finding> {
  if (!config['peers.enabled'])
    return ok('peers', 'this node takes no part in a cluster: peers.enabled is false');
  try {
    const { peers } = await clientOf(options, cli).call(
      'PeerService.List',
      {},
      { timeoutMs: NODE_TIMEOUT_MS },
    );
    return findingOf(peers);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return error.code === 'unreachable'
      ? checkPort(config)
      : warn('peers', error.message, 'see access, below');
  }
}

function findingOf(peers: readonly PeerView[]): Finding {
  const connected = peers.filter(({ status }) => status === 'connected').length;
  const lost = peers.filter(({ status }) => status === 'lost');
  if (lost.length > 0) {
    const names = lost.map(({ name, node_id: id }) => name ?? id).join(', ');
    const remedy = 'start it, or drop one that will not return: container-manager peers forget NODE';
    return warn('peers', `${connected} connected; not heard for 20 s and more: ${names}`, remedy);
  }
  return ok(
    'peers',
    peers.length === 0 ? 'none: a cluster of its own' : `${connected} of ${peers.length} connected`,
  );
}

async function checkPort(config: PeerSettings): Promise<Finding> {
  const { p2p_port: port } = config;
  try {
    await listenOnce(config['peers.listen_address'] ?? config.listen_address, port);
    return ok('p2p port', `${port} is free`);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EADDRINUSE')
      return fail('p2p port', `${port} is taken by another program`, 'stop that, or give another --p2p-port');
    return fail('p2p port', messageOf(error), 'give another --peers-listen-address or --p2p-port');
  }
}
