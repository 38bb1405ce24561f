/** weir completion: a script for bash, made from the command tree itself. */
import type { Command } from 'commander';
import type { Context } from './context.ts';

interface Place {
  /** Words that lead here, with a space before each. */
  path: string;
  words: string[];
}

/** Every command with what may follow it. */
function places(command: Command, path = ''): Place[] {
  const flags = command
    .createHelp()
    .visibleOptions(command)
    .concat(command.createHelp().visibleGlobalOptions(command));
  const names = command
    .createHelp()
    .visibleCommands(command)
    .map((child) => child.name());
  const words = [...names, ...flags.flatMap((option) => [option.long ?? option.short ?? ''])];
  return [{ path, words }, ...command.commands.flatMap((child) => places(child, `${path} ${child.name()}`))];
}

/** The script keeps the words that are commands, so that options between them do not matter. */
function bash(program: Command): string {
  const all = places(program);
  const branches = all.map(({ path, words }) => `    '${path.trim()}') words='${words.join(' ')}' ;;`);
  const paths = all.map(({ path }) => `'${path.trim()}'`).join('|');
  return `# bash completion for weir: source <(weir completion bash)
_weir() {
  local word at='' next words=''
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${at:+$at }$word"
    case "$next" in ${paths}) at="$next" ;; esac
  done
  case "$at" in
${branches.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _weir weir
`;
}

export function addCompletion(program: Command, context: Context): void {
  const group = program.command('completion').description('print a script for the shell');
  group
    .command('bash')
    .description('for bash: source <(weir completion bash)')
    .action(() => context.io.out(bash(program)));
}
