import { Option, type Command } from 'commander';
import { UsageError } from './cli-error.ts';
import { PROGRAM, type Verb } from './cli.ts';
import { PROGRAM_VERSION } from './program-version.ts';
import { quietCommand } from './verb-command.ts';

const DESCRIPTION =
  'Without a command this is a node: it takes jobs over JSON-RPC, deploys each as one container on the Docker Engine of this host, and follows it to its end.';

const NOTES = `
${PROGRAM} COMMAND --help      explains a command
${PROGRAM} --help-all          shows every flag of the node
${PROGRAM} config reference    explains every setting

Exit codes: 0 ok, 1 the job failed or was refused, 2 usage, 3 not found,
4 not allowed, 5 timed out, 6 queue full, 7 node unreachable.`;

/** The program without a command: only the names of the commands, so that the help can list them. */
export function rootCommand(verbs: readonly Verb[]): Command {
  const root = quietCommand(PROGRAM)
    .usage(`[flags]\n       ${PROGRAM} COMMAND [options]`)
    .description(DESCRIPTION)
    .version(PROGRAM_VERSION, '-V, --version', 'print the version')
    .addHelpText('after', NOTES)
    .configureHelp({ optionTerm: (option) => option.flags.replace(/[<[](.*)[>\]]/, '$1') });
  for (const { name, group, summary } of verbs) {
    root
      .command(name)
      .summary(summary)
      .helpGroup(group)
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw new UsageError(
          `the flags of the node cannot be used with the command '${name}'`,
          `${PROGRAM} ${name} --help`,
        );
      });
  }
  return root;
}

const FLAGS_GROUP = 'Flags of the node:';

/** The program as a node: every setting that has a flag. No default stands here, lest it look like a choice. */
export async function nodeCommand(
  verbs: readonly Verb[],
  options: { readonly showsAll: boolean },
): Promise<Command> {
  const { FLAGS } = await import('../../src/config/flags.ts');
  const root = rootCommand(verbs).optionsGroup(FLAGS_GROUP);
  root.addOption(new Option('--config <path>', 'a YAML file of settings').helpGroup(FLAGS_GROUP));
  for (const { key, name, aliases, placeholder, description } of FLAGS) {
    const isShown = options.showsAll || !key.includes('.');
    root.addOption(flag(name, placeholder, description, isShown));
    for (const alias of aliases) root.addOption(flag(alias, placeholder, `the same as --${name}`, isShown));
  }
  return root.option('--help-all', 'show this help with every setting');
}

function flag(name: string, placeholder: string, description: string, isShown: boolean): Option {
  const option = new Option(`--${name} <${placeholder}>`, description).helpGroup(FLAGS_GROUP);
  return isShown ? option : option.hideHelp();
}

/** The settings that were given, by the flag's name without dashes. */
export function givenFlags(root: Command): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const option of root.options) {
    const value: unknown = root.getOptionValue(option.attributeName());
    if (typeof value === 'string' && option.name() !== 'config') flags[option.name()] = value;
  }
  return flags;
}
