import { Argument, Option } from 'commander';
import type { LoadedConfig } from '../../../src/config/load.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import { printable } from '../screen/printable.ts';

interface ConfigOptions {
  readonly config?: string;
  readonly withSource?: true;
}

const ACTIONS = {
  print: printAll,
  check,
  reference,
} as const satisfies Record<string, (options: ConfigOptions, cli: Cli) => Promise<void>>;

export const defineConfig: DefineVerb = (command, cli) => {
  const action = new Argument('<action>', 'print what is in force, check it, or explain every setting');
  command
    .description(
      'Print the configuration that a node started here would have (secrets hidden), check it, or print the reference of every setting. What counts is the environment and the file; flags are given to the node itself.',
    )
    .addArgument(action.choices(Object.keys(ACTIONS)))
    .addOption(new Option('--config <file>', 'the YAML file, or $CONTAINER_MANAGER_CONFIG'))
    .option('--with-source', 'with print: say of each value where it comes from');
  command.action((name: keyof typeof ACTIONS) => {
    const options = command.opts<ConfigOptions>();
    if (options.withSource === true && name !== 'print')
      throw new UsageError('--with-source goes with print');
    return ACTIONS[name](options, cli);
  });
};

async function load({ config }: ConfigOptions, { env }: Cli): Promise<LoadedConfig> {
  const { readConfig } = await import('../read-config.ts');
  return readConfig({ env, ...(config !== undefined && { configFile: config }) });
}

async function printAll(options: ConfigOptions, cli: Cli): Promise<void> {
  const { printConfig } = await import('../../../src/config/print.ts');
  const loaded = await load(options, cli);
  await cli.terminal.out.write(printConfig(loaded, { withSource: options.withSource === true }));
}

async function check(options: ConfigOptions, cli: Cli): Promise<void> {
  const { notes } = await load(options, cli);
  for (const note of notes) await cli.terminal.err.write(`note: ${printable(note)}\n`);
  await cli.terminal.out.write('The configuration is right.\n');
}

async function reference(_options: ConfigOptions, cli: Cli): Promise<void> {
  const { configurationReference } = await import('../../../src/config/reference.ts');
  await cli.terminal.out.write(configurationReference());
}
