import { Argument, type Command } from 'commander';
import type { Cli, DefineVerb } from '../cli.ts';
import { bashScript } from '../completion/bash.ts';
import { describeCommands, type CommandDescription } from '../completion/describe-commands.ts';
import { fishScript } from '../completion/fish.ts';
import { zshScript } from '../completion/zsh.ts';
import { loadVerb } from '../verb-command.ts';

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const satisfies Record<
  string,
  (commands: readonly CommandDescription[]) => string
>;

const NOTES = `
bash:  source <(container-manager completion bash)
zsh:   container-manager completion zsh > "\${fpath[1]}/_container-manager"
fish:  container-manager completion fish > ~/.config/fish/completions/container-manager.fish`;

export const defineCompletion: DefineVerb = (command, cli) => {
  const shell = new Argument('<shell>', 'whose script to print').choices(Object.keys(SHELLS));
  command
    .description('Print a script that completes commands, their options and the ids of jobs.')
    .addArgument(shell)
    .addHelpText('after', NOTES);
  command.action((name: keyof typeof SHELLS) => completion(name, cli));
};

async function completion(shell: keyof typeof SHELLS, cli: Cli): Promise<void> {
  const commands: Command[] = [];
  for (const verb of cli.verbs) commands.push(await loadVerb(verb, cli));
  await cli.terminal.out.write(SHELLS[shell](describeCommands(cli.verbs, commands)));
}
