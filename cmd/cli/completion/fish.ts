import { LIST_JOB_IDS, type CommandDescription, type OptionDescription } from './describe-commands.ts';

/** For fish 3 and later. */
export function fishScript(commands: readonly CommandDescription[]): string {
  const verbs = commands.map(
    ({ name, summary }) =>
      `complete -c container-manager -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`,
  );
  return `# fish completion for container-manager
function __container_manager_jobs
  ${LIST_JOB_IDS}
end
${[...verbs, ...commands.flatMap(fishLines)].join('\n')}
`;
}

function fishLines({ name, options, takesJobs, choices }: CommandDescription): string[] {
  const seen = `-n '__fish_seen_subcommand_from ${name}'`;
  const lines = options.map((option) => `complete -c container-manager ${seen} ${optionPart(option)}`);
  if (takesJobs) lines.push(`complete -c container-manager ${seen} -f -a '(__container_manager_jobs)'`);
  if (choices.length > 0) lines.push(`complete -c container-manager ${seen} -f -a '${choices.join(' ')}'`);
  return lines;
}

function optionPart({ names, text, takesValue, choices }: OptionDescription): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const value = choices.length > 0 ? `-x -a '${choices.join(' ')}'` : takesValue ? '-r' : '';
  return [...flags, value, `-d ${fishQuoted(text)}`].filter((part) => part !== '').join(' ');
}

/** Within single quotes fish knows two escapes: of the quote and of the backslash. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
