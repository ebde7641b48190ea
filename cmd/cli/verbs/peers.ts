import { Argument } from 'commander';
import type { RpcClient } from '../../../src/api/client.ts';
import type { PeerView } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import {
  addClientOptions,
  clientOf,
  outputFormat,
  type ClientOptions,
  type OutputFormat,
} from '../client-options.ts';
import { shortNodeIds } from '../node-ids.ts';
import { printRows, printValue } from '../output.ts';
import { NODE_ARGUMENT, resolveNodeId } from '../resolve-node.ts';
import { elapsed } from '../screen/format.ts';
import type { Style } from '../screen/style.ts';
import type { Column } from '../screen/table.ts';

interface Surroundings {
  readonly cli: Cli;
  readonly client: RpcClient;
  readonly format: OutputFormat;
}

/** What is done with one peer: the answer, and what is said of it to people. */
type PeerAction = (
  client: RpcClient,
  nodeId: string,
) => Promise<{ readonly answer: unknown; readonly text: string }>;

const PEER_ACTIONS = {
  ping: async (client, node_id) => {
    const answer = await client.call('PeerService.Ping', { node_id });
    return { answer, text: `${node_id} answers in ${roundTrip(answer.rtt_ms)}` };
  },
  allow: async (client, node_id) => {
    const answer = await client.call('PeerService.Allow', { node_id });
    return {
      answer,
      text: `${node_id} may be a peer until this node restarts; peers.allow lets it be one for good`,
    };
  },
  deny: async (client, node_id) => {
    const answer = await client.call('PeerService.Deny', { node_id });
    return {
      answer,
      text: `${node_id} is no peer until this node restarts; with another cluster key or without it in peers.allow it is none for good`,
    };
  },
  forget: async (client, node_id) => {
    const answer = await client.call('PeerService.Forget', { node_id });
    return { answer, text: answer.forgotten ? `${node_id} is forgotten` : `${node_id} was not known` };
  },
} as const satisfies Readonly<Record<string, PeerAction>>;
const ACTIONS = ['ls', ...Object.keys(PEER_ACTIONS)];

export const definePeers: DefineVerb = (command, cli) => {
  command
    .description(
      'List the other nodes of the cluster, see how fast one answers, or decide whether it may be a peer.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(ACTIONS).default('ls'))
    .argument('[node]', `with all but ls: ${NODE_ARGUMENT}`);
  addClientOptions(command);
  command.action((action: 'ls' | keyof typeof PEER_ACTIONS, node: string | undefined) => {
    const options = command.opts<ClientOptions>();
    const surroundings = { cli, client: clientOf(options, cli), format: outputFormat(options, cli) };
    if (action !== 'ls') return act(action, node, surroundings);
    if (node !== undefined) throw new UsageError('ls lists every peer');
    return list(surroundings);
  });
};

async function act(
  name: keyof typeof PEER_ACTIONS,
  node: string | undefined,
  { cli, client, format }: Surroundings,
): Promise<void> {
  if (node === undefined) throw new UsageError(`${name} needs the id of a node`);
  const { answer, text } = await PEER_ACTIONS[name](client, await resolveNodeId(client, node));
  if (format === 'table') await cli.terminal.out.write(`${text}\n`);
  else await printValue(cli, format, answer);
}

async function list({ cli, client, format }: Surroundings): Promise<void> {
  const { peers } = await client.call('PeerService.List', {});
  // Whoever counts lines of the output must not count this one.
  if (format === 'table' && peers.length === 0) return cli.terminal.err.write('No other node is known.\n');
  await printRows(cli, format, peers, peerColumns(peers));
}

const STATUS_STYLES: Readonly<Record<PeerView['status'], Style>> = {
  connected: 'green',
  heard: 'yellow',
  lost: 'red',
  never: 'dim',
};

function peerColumns(peers: readonly PeerView[]): readonly Column<PeerView>[] {
  const ids = shortNodeIds(peers.map(({ node_id }) => node_id));
  return [
    { header: 'NODE', value: ({ node_id }) => ids.get(node_id) ?? node_id },
    { header: 'NAME', value: ({ name = '' }) => name, minWidth: 8, isOptional: true },
    { header: 'STATUS', value: statusText, style: ({ status }) => STATUS_STYLES[status] },
    {
      header: 'HEARD',
      value: ({ heard_age_ms: age }) => (age === undefined ? '' : `${elapsed(age)} ago`),
      isOptional: true,
    },
    {
      header: 'PING',
      value: ({ rtt_ms: rtt }) => (rtt === undefined ? '' : roundTrip(rtt)),
      align: 'right',
      isOptional: true,
    },
    { header: 'JOBS', value: ({ jobs }) => String(jobs), align: 'right' },
    { header: 'VERSION', value: ({ version = '' }) => version, isOptional: true },
    { header: 'ADDRESSES', value: ({ addresses }) => addresses.join(' '), minWidth: 20, isOptional: true },
  ];
}

function statusText({ status, direction, draining }: PeerView): string {
  const way = direction === 'inbound' ? ' from it' : direction === 'outbound' ? ' to it' : '';
  return `${status}${way}${draining === true ? ', draining' : ''}`;
}

function roundTrip(rttMs: number): string {
  return `${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms`;
}
