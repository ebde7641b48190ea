import { Argument } from 'commander';
import type { DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import { addClientOptions, clientOf, outputFormat } from '../client-options.ts';
import type { ControllerAction, ControllerOptions } from './controllers/action.ts';

/** What an action takes, and where it is. */
interface ActionEntry {
  readonly operand?: 'id' | 'file';
  readonly takes: readonly (keyof typeof FLAGS)[];
  readonly load: () => Promise<ControllerAction>;
}

const ACTIONS: Readonly<Record<string, ActionEntry>> = {
  ls: { takes: [], load: async () => (await import('./controllers/ls.ts')).list },
  show: {
    operand: 'id',
    takes: ['version'],
    load: async () => (await import('./controllers/show.ts')).show,
  },
  discover: { takes: [], load: async () => (await import('./controllers/discover.ts')).discover },
  validate: {
    operand: 'id',
    takes: ['version'],
    load: async () => (await import('./controllers/show.ts')).validate,
  },
  test: {
    operand: 'id',
    takes: ['version'],
    load: async () => (await import('./controllers/test.ts')).test,
  },
  add: { operand: 'file', takes: [], load: async () => (await import('./controllers/add.ts')).add },
  rm: {
    operand: 'id',
    takes: ['version', 'yes'],
    load: async () => (await import('./controllers/rm.ts')).remove,
  },
};

const FLAGS = { version: '--version', yes: '--yes' } as const;
const OPERANDS = { id: 'the id of a controller', file: 'a file, or - for what is piped in' } as const;

const NOTES = `
A file for add is JSON of one controller, of a list of them, or of a whole database: {"controllers": [...]}`;

export const defineControllers: DefineVerb = (command, cli) => {
  command
    .description(
      'List the controllers that connections are led to, show one, look through the images for new ones, look into the library of one anew, start one once to see what it answers, add some, or take one away.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(Object.keys(ACTIONS)).default('ls'))
    .argument('[controller]', `with show, validate, test and rm: ${OPERANDS.id}; with add: ${OPERANDS.file}`)
    .option('--version <version>', 'with show, validate, test and rm: which, where an id has several')
    .option('-y, --yes', 'with rm: do not ask')
    .addHelpText('after', NOTES);
  addClientOptions(command);
  command.action(async (name: string, operand: string | undefined) => {
    const action = ACTIONS[name];
    if (action === undefined) return;
    const options = command.opts<ControllerOptions>();
    checkGiven(name, action, operand, options);
    const run = await action.load();
    await run(operand ?? '', options, {
      cli,
      client: clientOf(options, cli),
      format: outputFormat(options, cli),
    });
  });
};

function checkGiven(
  name: string,
  action: ActionEntry,
  operand: string | undefined,
  options: ControllerOptions,
): void {
  if (action.operand === undefined && operand !== undefined)
    throw new UsageError(`${name} takes no argument`);
  if (action.operand !== undefined && operand === undefined)
    throw new UsageError(`${name} needs ${OPERANDS[action.operand]}`);
  for (const flag of Object.keys(FLAGS) as (keyof typeof FLAGS)[]) {
    if (options[flag] !== undefined && !action.takes.includes(flag))
      throw new UsageError(`${FLAGS[flag]} does not go with ${name}`);
  }
}
