import { RpcError } from '../../../src/api/client.ts';
import type { RpcMethods } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { printValue } from '../output.ts';
import { PROGRAM_VERSION } from '../program-version.ts';
import { renderFields } from '../screen/table.ts';

type NodeVersion = RpcMethods['SystemService.Version']['result'];

/** Nobody should have to wait for a version. */
const NODE_TIMEOUT_MS = 2_000;

export const defineVersion: DefineVerb = (command, cli) => {
  command.description('Print the versions of this program and, where one answers, of the node.');
  addClientOptions(command);
  command.action(() => version(command.opts<ClientOptions>(), cli));
};

async function version(options: ClientOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const client = { version: PROGRAM_VERSION, node_version: process.versions.node };
  const node = await askNode(options, cli);
  if (format !== 'table')
    return printValue(cli, format, { client, node: node instanceof RpcError ? null : node });
  const fields: Parameters<typeof renderFields>[0] = [
    ['Program', `${client.version} on Node.js ${client.node_version}`],
    ['Node', node instanceof RpcError ? node.message : nodeText(node)],
    ['Engine', node instanceof RpcError ? undefined : engineText(node)],
  ];
  await cli.terminal.out.write(renderFields(fields, { paint: cli.terminal.out.paint }));
}

/** A node that cannot be asked is an answer, too. */
async function askNode(options: ClientOptions, cli: Cli): Promise<NodeVersion | RpcError> {
  try {
    return await clientOf(options, cli).call('SystemService.Version', {}, { timeoutMs: NODE_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof RpcError && error.code !== 'invalid_address') return error;
    throw error;
  }
}

function nodeText(node: NodeVersion): string {
  return `${node.version} on Node.js ${node.node_version}`;
}

function engineText({ engine, engine_api_version: api }: NodeVersion): string {
  if (engine === undefined) return 'does not answer';
  return api === undefined ? engine : `${engine} (API ${api})`;
}
