import type { Command, Option } from 'commander';

export interface OptionDescription {
  /** `-f` and `--follow`. */
  readonly names: readonly string[];
  readonly text: string;
  readonly takesValue: boolean;
  /** What it may be, where that is a closed set. */
  readonly choices: readonly string[];
}

/** What the scripts of all shells are made from. */
export interface CommandDescription {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionDescription[];
  /** Whether its arguments are ids of jobs. */
  readonly takesJobs: boolean;
  /** What its argument may be, where that is a closed set. */
  readonly choices: readonly string[];
}

export function describeCommands(
  verbs: readonly { readonly name: string; readonly summary: string }[],
  commands: readonly Command[],
): readonly CommandDescription[] {
  return commands.map((command, index) => {
    const [argument] = command.registeredArguments;
    return {
      name: verbs[index]?.name ?? '',
      summary: verbs[index]?.summary ?? '',
      options: [...command.options.filter(({ hidden }) => !hidden).map(describeOption), HELP],
      takesJobs: argument?.name() === 'job',
      choices: argument?.argChoices ?? [],
    };
  });
}

const HELP: OptionDescription = {
  names: ['-h', '--help'],
  text: 'show this help',
  takesValue: false,
  choices: [],
};

function describeOption(option: Option): OptionDescription {
  const { short, long, description, required, argChoices } = option;
  return {
    names: [short, long].filter((name) => name !== undefined),
    text: description,
    takesValue: required,
    choices: argChoices ?? [],
  };
}

/** Lists the ids of jobs, one a line, and nothing when there is no node. */
export const LIST_JOB_IDS = `container-manager ps --all --all-nodes --output ndjson 2>/dev/null | sed -n 's/^{"job_id":"\\([^"]*\\)".*/\\1/p'`;

/** Options that stand before a command and take a value. */
export const LEADING_OPTIONS = ['--address', '--token', '--token-file', '--output', '-o'] as const;

/** In single quotes, as every shell here understands it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
