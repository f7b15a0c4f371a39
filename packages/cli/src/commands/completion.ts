import { Argument, Command } from 'commander'
import { SHELLS, type Shell } from '../completion/shells.js'
import type { Context } from '../context.js'

const EXAMPLES = `
Examples:
  $ neve completion bash > /etc/bash_completion.d/neve
  $ neve completion zsh > ~/.zfunc/_neve
  $ neve completion fish > ~/.config/fish/completions/neve.fish
`

/** `neve completion SHELL`. */
export function completionCommand(context: Context): Command {
  return new Command('completion')
    .description('Print a script that completes the commands and options of neve.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .addHelpText('after', EXAMPLES)
    .action(async (shell: Shell) => {
      const { completionModel } = await import('../completion/model.js')
      await context.io.stdout.write(SHELLS[shell](await completionModel(context)))
    })
}
