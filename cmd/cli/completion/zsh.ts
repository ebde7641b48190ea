import {
  LIST_JOB_IDS,
  quoted,
  type CommandDescription,
  type OptionDescription,
} from './describe-commands.ts';

/** For zsh's own completion system. */
export function zshScript(commands: readonly CommandDescription[]): string {
  const described = commands.map(({ name, summary }) => `    ${quoted(`${escapeColons(name)}:${summary}`)}`);
  return `#compdef container-manager
_container_manager_jobs() {
  local -a ids
  ids=(\${(f)"$(${LIST_JOB_IDS})"})
  compadd -a ids
}
_container_manager() {
  local -a verbs
  verbs=(
${described.join('\n')}
  )
  local context state state_descr line
  typeset -A opt_args
  _arguments -C '1: :->verb' '*:: :->rest'
  case $state in
    verb) _describe command verbs ;;
    rest)
      case $words[1] in
${commands.map(zshCase).join('\n')}
      esac ;;
  esac
}
_container_manager "$@"
`;
}

function zshCase({ name, options, takesJobs, choices }: CommandDescription): string {
  const specs = options.flatMap(optionSpecs);
  if (takesJobs) specs.push(quoted('*:job:_container_manager_jobs'));
  else if (choices.length > 0) specs.push(quoted(`1:what:(${choices.join(' ')})`));
  else if (name === 'run') specs.push(quoted('*::argument: '));
  return `        ${name}) _arguments -s ${specs.join(' ')} ;;`;
}

function optionSpecs({ names, text, takesValue, choices }: OptionDescription): string[] {
  const value = choices.length > 0 ? `:value:(${choices.join(' ')})` : takesValue ? ':value:_default' : '';
  const help = text.replaceAll(/[[\]:\\]/g, '\\$&');
  return names.map((name) => quoted(`*${name}[${help}]${value}`));
}

function escapeColons(text: string): string {
  return text.replaceAll(':', '\\:');
}
