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
    options: optionsOf([program]),
    commands: program.commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      options: optionsOf([command, ...command.commands]),
      words: wordsOf(command),
      takesPaths: [command, ...command.commands].some(({ registeredArguments }) =>
        registeredArguments.some((argument) => ['path', 'file', 'dest'].includes(argument.name())),
      ),
    })),
  }
}

/** What its first argument can be: the commands that it has, or choices. */
function wordsOf(command: Command): string[] {
  if (command.commands.length > 0) return command.commands.map((part) => part.name())
  return [...(command.registeredArguments[0]?.argChoices ?? [])]
}

/** The options of some commands, each once. */
function optionsOf(commands: readonly Command[]): CompletedOption[] {
  const help = { names: ['-h', '--help'], description: 'print this help', takesValue: false, choices: [] }
  const all = commands.flatMap((command) => command.options)
  const options = [...new Map(all.map((option) => [option.flags, option])).values()].map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    takesValue: option.required,
    choices: [...(option.argChoices ?? [])],
  }))
  return [...options, help]
}
