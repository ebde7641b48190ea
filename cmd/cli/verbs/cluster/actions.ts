import { networkInterfaces } from 'node:os';
import { clusterKeyOf, clusterKeyText, newClusterKey } from '../../../../src/peers/cluster-key.ts';
import { readAddressFile } from '../../../../src/peers/address-file.ts';
import { encodeJoinToken, JoinTokenError } from '../../../../src/peers/join-token.ts';
import { replaceSecretFile } from '../../../../src/peers/secret-file.ts';
import { UsageError } from '../../cli-error.ts';
import { PROGRAM, type Cli } from '../../cli.ts';
import type { OutputFormat } from '../../client-options.ts';
import { confirmed } from '../../confirm.ts';
import { printValue } from '../../output.ts';
import { renderFields } from '../../screen/table.ts';
import { readLocalNode, reading, type LocalNodeOptions } from './local-node.ts';
import { areAllLocal, tokenAddresses } from './token-addresses.ts';

export interface ClusterOptions extends LocalNodeOptions {
  readonly address?: readonly string[];
  readonly yes?: true;
}

/** Prints what another node needs to join. */
export async function printToken(options: ClusterOptions, cli: Cli): Promise<void> {
  const { out, err } = cli.terminal;
  const { config, nodeId, cluster } = readLocalNode(options, cli);
  const addresses =
    options.address ??
    tokenAddresses({
      config,
      published: readAddressFile(config.data_dir),
      interfaces: networkInterfaces(),
    });
  const warn = (text: string): Promise<void> => err.write(`${err.paint('yellow', `warning: ${text}`)}\n`);
  if (!config['peers.enabled']) await warn('peers.enabled is false: nobody can join this node as it is set');
  else if (areAllLocal(addresses))
    await warn('nodes on other hosts cannot use these addresses; name others with --address');
  if (err.isTty) await warn('whoever has this token is a member of the cluster: it holds its key');
  await out.write(`${tokenOf({ key: cluster.key, nodeId, addresses })}\n`);
}

function tokenOf(content: Parameters<typeof encodeJoinToken>[0]): string {
  try {
    return encodeJoinToken(content);
  } catch (error) {
    if (error instanceof JoinTokenError) throw new UsageError(error.message, 'give fewer or other --address');
    throw error;
  }
}

/** Prints which cluster the node is in, and who it is there. */
export async function printId(options: ClusterOptions, cli: Cli, format: OutputFormat): Promise<void> {
  const { nodeId, keyFile, cluster } = readLocalNode(options, cli);
  const view = { cluster_id: cluster.clusterId, node_id: nodeId, key_file: keyFile };
  if (format !== 'table') return printValue(cli, format, view);
  const { out } = cli.terminal;
  await out.write(
    renderFields(
      [
        ['Cluster', view.cluster_id],
        ['Node', view.node_id],
        ['Key', view.key_file],
      ],
      { paint: out.paint },
    ),
  );
}

/** Gives the cluster another key, as when a node that had the old one is to be a member no longer. */
export async function rotateKey(options: ClusterOptions, cli: Cli): Promise<void> {
  const { out } = cli.terminal;
  const { keyFile, cluster } = readLocalNode(options, cli);
  if (options.yes !== true)
    await confirmed(
      `Replace the key of cluster ${cluster.clusterId}?`,
      'rotate-key cuts this node off from all that have the old key',
      cli,
    );
  const key = newClusterKey();
  const kept = reading(keyFile, () => replaceSecretFile(keyFile, clusterKeyText(key)));
  await out.write(`The cluster's key is a new one; its id is ${clusterKeyOf(key).clusterId} now.
${keyFile} holds it; the old one is kept as ${kept}.

Nodes with the old key and nodes with the new one do not see each other; jobs go on meanwhile. So do this soon:
1. Restart this node, and every other one that uses ${keyFile}. None of them may be given a join token of the old key.
2. Print a token of the new key: ${PROGRAM} cluster token
3. Restart each other node with that token, in CONTAINER_MANAGER_JOIN, as --join, or as join in its file.
`);
}
