import { Command, type OutputConfiguration } from 'commander';
import { PROGRAM, type Cli, type Verb } from './cli.ts';

/** Errors are thrown, and told in one place. */
const SILENT_ERRORS: OutputConfiguration = { outputError: () => undefined };

/** A command that neither prints its errors nor ends the process. */
export function quietCommand(name: string): Command {
  return new Command(name)
    .exitOverride()
    .configureOutput(SILENT_ERRORS)
    .helpCommand(false)
    .helpOption(HELP, HELP_TEXT);
}

const HELP = '-h, --help';
const HELP_TEXT = 'show this help';

/** The whole command of a verb, with its options. */
export async function loadVerb(verb: Verb, cli: Cli): Promise<Command> {
  const define = await verb.load();
  const command = quietCommand(`${PROGRAM} ${verb.name}`).summary(verb.summary);
  define(command, cli);
  if (command.description() === '') command.description(sentence(verb.summary));
  return command;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
