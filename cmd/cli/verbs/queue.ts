import type { QueueStatsView, RpcMethods } from '../../../src/api/wire.ts';
import { Argument } from 'commander';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { printValue } from '../output.ts';
import { renderFields } from '../screen/table.ts';

const ACTIONS = {
  show: 'QueueService.Stats',
  pause: 'QueueService.Pause',
  resume: 'QueueService.Resume',
} as const satisfies Record<string, keyof RpcMethods>;

export const defineQueue: DefineVerb = (command, cli) => {
  const action = new Argument('[action]', 'what to do').choices(Object.keys(ACTIONS)).default('show');
  command
    .description(
      'Show how full the job queue is; pause it, so that no further job begins and what runs goes on; resume it.',
    )
    .addArgument(action);
  addClientOptions(command);
  command.action((name: keyof typeof ACTIONS) => queue(name, command.opts<ClientOptions>(), cli));
};

async function queue(name: keyof typeof ACTIONS, options: ClientOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const stats = await clientOf(options, cli).call(ACTIONS[name], {});
  if (format !== 'table') return printValue(cli, format, stats);
  const { out } = cli.terminal;
  await out.write(renderFields(queueFields(stats), { screenWidth: out.width, paint: out.paint }));
}

function queueFields(stats: QueueStatsView): Parameters<typeof renderFields>[0] {
  const state = stats.draining ? 'draining' : stats.paused ? 'paused' : 'open';
  const delayed = stats.delayed === 0 ? '' : `, ${stats.delayed} of them for their next attempt`;
  return [
    ['Queue', state, state === 'open' ? 'green' : 'yellow'],
    ['Waiting', `${stats.waiting} of ${stats.queue_size}${delayed}`],
    ['Workers', `${stats.working} of ${stats.worker_count} busy`],
    ['Running', `${stats.running} ${stats.running === 1 ? 'container' : 'containers'}`],
  ];
}
