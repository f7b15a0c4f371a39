import type { Command } from 'commander'
import type { Context } from '../context.js'
import { buildWholeProgram } from '../program.js'

/** An option as a completion script knows it. */
export interface CompletedOption {
  /** `-l`, `--long`. */
  readonly names: readonly string[]
  readonly description: string
  readonly takesValue: boolean
  /** The values it takes, if these are few. */
  readonly choices: readonly string[]
}

export interface CompletedCommand {
  readonly name: string
  readonly summary: string
  readonly options: readonly CompletedOption[]
  /** The words that its first argument can be, if these are few. */
  readonly words: readonly string[]
  /** Whether its arguments are paths of the host. */
  readonly takesPaths: boolean
}

/** What there is to complete. */
export interface CompletionModel {
  readonly options: readonly CompletedOption[]
  readonly commands: readonly CompletedCommand[]
}

/** Taken from the commands themselves, so that no script can fall behind. */
export async function completionModel(context: Context): Promise<CompletionModel> {
  const program = await buildWholeProgram(context)
  return {
    options: optionsOf(program),
    commands: program.commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      options: optionsOf(command),
      words: [...(command.registeredArguments[0]?.argChoices ?? [])],
      takesPaths: command.registeredArguments.some((argument) =>
        ['path', 'file', 'dest'].includes(argument.name()),
      ),
    })),
  }
}

function optionsOf(command: Command): CompletedOption[] {
  const help = { names: ['-h', '--help'], description: 'print this help', takesValue: false, choices: [] }
  const options = command.options.map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    takesValue: option.required,
    choices: [...(option.argChoices ?? [])],
  }))
  return [...options, help]
}
