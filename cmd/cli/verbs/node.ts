import { Argument } from 'commander';
import type { NodeInfoView, RpcMethods } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { printValue } from '../output.ts';
import { elapsed } from '../screen/format.ts';
import { renderFields } from '../screen/table.ts';

const ACTIONS = {
  info: 'NodeService.Info',
  drain: 'NodeService.Drain',
  undrain: 'NodeService.Undrain',
} as const satisfies Record<string, keyof RpcMethods>;

export const defineNode: DefineVerb = (command, cli) => {
  const action = new Argument('[action]', 'what to do').choices(Object.keys(ACTIONS)).default('info');
  command
    .description(
      'Show which node this is and what it has to do; drain it, so that it accepts no new job and those that it has go on, over restarts, too; undrain it.',
    )
    .addArgument(action);
  addClientOptions(command);
  command.action((name: keyof typeof ACTIONS) => node(name, command.opts<ClientOptions>(), cli));
};

async function node(name: keyof typeof ACTIONS, options: ClientOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const info = await clientOf(options, cli).call(ACTIONS[name], {});
  if (format !== 'table') return printValue(cli, format, info);
  const { out } = cli.terminal;
  await out.write(renderFields(infoFields(info), { screenWidth: out.width, paint: out.paint }));
}

function infoFields(info: NodeInfoView): Parameters<typeof renderFields>[0] {
  const inHand = `${info.waiting} waiting, ${info.working} at work, ${info.running} running`;
  return [
    ['Node', info.node_id],
    ['Host', info.name],
    ['Cluster', info.cluster_id],
    ['Version', info.version],
    ['Up for', elapsed(info.uptime_ms)],
    ['State', info.draining ? 'drained: it accepts no new jobs' : 'open', info.draining ? 'yellow' : 'green'],
    ['Jobs', inHand],
  ];
}
