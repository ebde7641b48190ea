import { LEADING_OPTIONS, LIST_JOB_IDS, quoted, type CommandDescription } from './describe-commands.ts';

/** For bash 4 and later; needs nothing but bash. */
export function bashScript(commands: readonly CommandDescription[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# bash completion for container-manager
_container_manager() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb= index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      ${LEADING_OPTIONS.join('|')}) ((index++)) ;;
      -*) ;;
      *) verb=\${COMP_WORDS[index]}; break ;;
    esac
  done
  COMPREPLY=()
  case $verb in
    '') _container_manager_words ${quoted(`${names} help`)} ;;
${commands.map(bashCase).join('\n')}
  esac
}
_container_manager_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}
_container_manager_jobs() {
  _container_manager_words "$(${LIST_JOB_IDS})"
}
complete -o default -F _container_manager container-manager
`;
}

function bashCase(command: CommandDescription): string {
  const { name, options, choices, takesJobs } = command;
  const valued = options.filter(({ takesValue }) => takesValue);
  const cases = valued.map((option) => {
    const words =
      option.choices.length === 0
        ? 'return'
        : `_container_manager_words ${quoted(option.choices.join(' '))}; return`;
    return `        ${option.names.join('|')}) ${words} ;;`;
  });
  const flags = options.flatMap(({ names }) => names.filter((flag) => flag.startsWith('--'))).join(' ');
  const operands = takesJobs
    ? '_container_manager_jobs'
    : choices.length > 0
      ? `_container_manager_words ${quoted(choices.join(' '))}`
      : ':';
  return `    ${name})
      case $before in
${cases.join('\n')}
      esac
      if [[ $word == -* ]]; then _container_manager_words ${quoted(flags)}
      else ${operands}; fi ;;`.replace('      case $before in\n\n      esac\n', '');
}
