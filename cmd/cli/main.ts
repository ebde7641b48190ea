import { CommanderError } from 'commander';
import { ExitRequest, UsageError } from './cli-error.ts';
import { PROGRAM, type Cli } from './cli.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { reportError } from './report-error.ts';
import { givenFlags, nodeCommand, rootCommand } from './root-command.ts';
import { splitArguments, wantsJsonErrors, type SplitArguments } from './split-arguments.ts';
import { loadVerb } from './verb-command.ts';

/** Does what the arguments say, reports what goes wrong, and resolves with the exit code. Never rejects. */
export async function main(argv: readonly string[], cli: Cli): Promise<number> {
  const split = splitArguments(argv);
  try {
    await dispatch(split, cli);
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof ExitRequest) return error.exitCode;
    const asJson = wantsJsonErrors(argv, cli.env['CONTAINER_MANAGER_OUTPUT']);
    if (!(error instanceof CommanderError)) return reportError(cli, error, asJson);
    // Help and version are thrown, too, once they are printed.
    if (error.exitCode === 0) return EXIT_CODES.ok;
    return reportError(cli, usageErrorOf(error, split.verb, cli), asJson);
  }
}

async function dispatch({ leading, verb: name, rest }: SplitArguments, cli: Cli): Promise<void> {
  if (name === undefined) return runNode(leading, rest, cli);
  if (name === 'help') return help(rest[0], cli);
  const verb = cli.verbs.find((candidate) => candidate.name === name);
  if (verb === undefined) return refuseUnknown(name, cli);
  const command = await loadVerb(verb, cli);
  await command.parseAsync([...leading, ...rest], { from: 'user' });
}

async function runNode(leading: readonly string[], rest: readonly string[], { verbs }: Cli): Promise<void> {
  const [misplaced] = leading;
  if (misplaced !== undefined) {
    throw new UsageError(`${misplaced.split('=', 1)[0]} needs a command`, `see ${PROGRAM} --help`);
  }
  const root = await nodeCommand(verbs, { showsAll: rest.includes('--help-all') });
  root.action(async () => {
    if (root.getOptionValue('helpAll') === true) return root.outputHelp();
    const { runDaemon } = await import('../daemon.ts');
    const configFile: unknown = root.getOptionValue('config');
    await runDaemon({ flags: givenFlags(root), ...(typeof configFile === 'string' && { configFile }) });
  });
  await root.parseAsync(rest, { from: 'user' });
}

async function help(name: string | undefined, cli: Cli): Promise<void> {
  if (name === undefined) return (await nodeCommand(cli.verbs, { showsAll: false })).outputHelp();
  const verb = cli.verbs.find((candidate) => candidate.name === name);
  if (verb === undefined) return refuseUnknown(name, cli);
  (await loadVerb(verb, cli)).outputHelp();
}

/** Lets the parser find the commands that sound like it. */
function refuseUnknown(name: string, { verbs }: Cli): void {
  rootCommand(verbs).parse([name], { from: 'user' });
}

function usageErrorOf(error: CommanderError, verb: string | undefined, { verbs }: Cli): UsageError {
  const [message = '', ...others] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /\(Did you mean (.*)\?\)/.exec(others.join(' '))?.[1];
  const isKnown = verbs.some(({ name }) => name === verb);
  const helpText = `see ${PROGRAM} ${isKnown ? `${verb} ` : ''}--help`;
  return new UsageError(message, suggestion === undefined ? helpText : `did you mean ${suggestion}?`);
}
