import { Argument, Option } from 'commander';
import type { Cli, DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import { outputFormat, outputOption, type ClientOptions, type OutputFormat } from '../client-options.ts';
import { collect } from '../option-values.ts';
import type { ClusterOptions } from './cluster/actions.ts';

type Action = (options: ClusterOptions, cli: Cli, format: OutputFormat) => Promise<void>;

/** What an action takes of the options that not all of them take. */
const ACTIONS: Readonly<
  Record<string, { readonly takes: keyof typeof FLAGS; readonly load: () => Promise<Action> }>
> = {
  token: { takes: 'address', load: async () => (await import('./cluster/actions.ts')).printToken },
  id: { takes: 'output', load: async () => (await import('./cluster/actions.ts')).printId },
  'rotate-key': { takes: 'yes', load: async () => (await import('./cluster/actions.ts')).rotateKey },
};

const FLAGS = { address: '--address', output: '--output', yes: '--yes' } as const;

const NOTES = `
On a node of the cluster:  container-manager cluster token
On the one that joins:     CONTAINER_MANAGER_JOIN=TOKEN container-manager`;

export const defineCluster: DefineVerb = (command, cli) => {
  const action = new Argument(
    '<action>',
    'print a token to join with, say who this node is, or replace the key',
  );
  command
    .description(
      "Print the token that another node joins this node's cluster with, the ids of the cluster and of this node, or give the cluster a new key. The node's own files on this host are read; it need not run.",
    )
    .addArgument(action.choices(Object.keys(ACTIONS)))
    .addOption(new Option('--config <file>', "the node's YAML file, or $CONTAINER_MANAGER_CONFIG"))
    .option('--data-dir <path>', 'where the node keeps its data')
    .option('--cluster-key-file <path>', 'the key, where several nodes share one file')
    .option('--address <address>', 'with token: where others reach this node; several can be given', collect)
    .option('-y, --yes', 'with rotate-key: do not ask')
    .addOption(outputOption())
    .addHelpText('after', NOTES);
  command.action((name: string) => cluster(name, command.opts<ClusterOptions & ClientOptions>(), cli));
};

async function cluster(name: string, options: ClusterOptions & ClientOptions, cli: Cli): Promise<void> {
  const action = ACTIONS[name];
  if (action === undefined) return;
  for (const option of Object.keys(FLAGS) as (keyof typeof FLAGS)[]) {
    if (options[option] !== undefined && option !== action.takes)
      throw new UsageError(`${FLAGS[option]} does not go with ${name}`);
  }
  const run = await action.load();
  await run(options, cli, outputFormat(options, cli));
}
